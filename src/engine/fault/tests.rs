//! Every reply of ours, looked at as a person would.

use super::super::DialError;
use super::super::pinhole::RefusalReason;
use super::super::tls::TlsFault;
use super::*;
use crate::ftp::Reply;

fn all() -> Vec<Reply> {
    let why = [
        DialError::Refused,
        DialError::Unreachable,
        DialError::TimedOut,
        DialError::LocalAddress,
        DialError::NoSuchName,
        DialError::Busy,
        DialError::Other,
    ];
    let mut replies = vec![
        ClientFault::Empty.reply(),
        ClientFault::LeadingSpace.reply(),
        ClientFault::StrayControl.reply(),
        ClientFault::BareLf.reply(),
        ClientFault::NotAVerb.reply(),
        ClientFault::LineTooLong.reply(),
        ClientFault::HiddenVerb.reply(),
        ClientFault::NoTls.reply(),
        ClientFault::UnknownMechanism.reply(),
        ClientFault::NoSecurityLayer.reply(),
        ClientFault::SecondAuth.reply(),
        ClientFault::AuthAfterUser.reply(),
        ClientFault::ClearBehindAuth.reply(),
        ClientFault::AuthFirst.reply(),
        ClientFault::ProtBeforePbsz.reply(),
        ClientFault::ProtClear.reply(),
        ClientFault::ProtLevel.reply(),
        ClientFault::UnknownProt.reply(),
        ClientFault::CccInTls.reply(),
        ClientFault::ReinInTls.reply(),
        ClientFault::LoginInClear.reply(),
        ClientFault::DataInClear.reply(),
        ClientFault::OtherUser.reply(),
        ClientFault::HostContradicted.reply(),
        ClientFault::OtherHostInTls.reply(),
        ClientFault::DataTls(TlsFault::NotResumed).reply(),
        UpstreamFault::NoTls.reply(),
        UpstreamFault::DataTls(TlsFault::CertificateName).reply(),
        UpstreamFault::Truncated.reply(),
        ClientFault::CccInClear.reply(),
        ClientFault::Algs.reply(),
        ClientFault::BadArgument.reply(),
        ClientFault::HiddenMode.reply(),
        ClientFault::Bounce.reply(),
        ClientFault::LowPort.reply(),
        ClientFault::BadAddress.reply(),
        ClientFault::InWindow.reply(),
        ClientFault::PasvNeedsIpv4.reply(),
        ClientFault::EpsvAll.reply(),
        ClientFault::NothingNegotiated.reply(),
        ClientFault::NobodyDialled.reply(),
        UpstreamFault::Unreachable.reply(),
        UpstreamFault::Gone.reply(),
        UpstreamFault::GoneInTransfer.reply(),
        UpstreamFault::BadAnnouncement.reply(),
        UpstreamFault::ForeignRefused.reply(),
        UpstreamFault::LowPort.reply(),
        UpstreamFault::InWindow.reply(),
        UpstreamFault::NoDataMode.reply(),
        UpstreamFault::NobodyDialled.reply(),
        UpstreamFault::SilentAfterData.reply(),
        UpstreamFault::Silent.reply(),
        UpstreamFault::Violation.reply(),
        UpstreamFault::Unconfirmed.reply(),
        OwnFault::NoPinhole(RefusalReason::NoPort { in_use: 16 }).reply(),
        OwnFault::NoPinhole(RefusalReason::Kernel).reply(),
        OwnFault::JournalDown.reply(),
        OwnFault::JournalDownAtStart.reply(),
        OwnFault::LoginTimeout.reply(),
        OwnFault::IdleTimeout.reply(),
        OwnFault::CommandTimeout.reply(),
        OwnFault::Shutdown.reply(),
        OwnFault::Killed.reply(),
    ];
    for why in why {
        replies.push(ClientFault::UnreachableClient(why).reply());
        replies.push(UpstreamFault::DialFailed(why).reply());
    }
    replies
}

#[test]
fn every_reply_of_ours_says_what_happened_in_words() {
    for reply in all() {
        let text = String::from_utf8(reply.final_text().to_vec()).expect("words");
        assert!((400..600).contains(&reply.code().get()), "{text}");
        assert!(
            text.split(' ').count() >= 4 && text.ends_with('.'),
            "{text}"
        );
        // Neither a name of ours from the code nor an address.
        let internal = text.contains("::") || text.contains('_') || text.contains('{');
        assert!(!internal && !text.contains("0x"), "{text}");
    }
}
