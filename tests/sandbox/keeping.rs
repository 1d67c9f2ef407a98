//! The journal's keeper across processes, as small as it can be: requests and descriptors over one SOCK_SEQPACKET socket.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use portcullis::gateway::journal::JournalSettings;
use portcullis::gateway::journal::keeper::{FileId, KeeperAnswer, KeeperRequest, Opened, perform};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg,
};

/// Performs what is asked until the other side is gone; answers with how often each was asked.
pub fn keep(line: &OwnedFd, settings: &JournalSettings) -> [usize; 3] {
    let mut asked = [0; 3];
    let mut buffer = [0; 64];
    while let Ok((_, 17)) = recv(line, &mut buffer, RecvFlags::empty()) {
        let word = |at: usize| {
            let bytes = buffer[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let request = match buffer[0] {
            0 => KeeperRequest::Open,
            1 => KeeperRequest::PutAside {
                ours: FileId {
                    device: word(1),
                    inode: word(9),
                },
            },
            2 => KeeperRequest::Expire,
            other => panic!("asked for {other}"),
        };
        asked[usize::from(buffer[0])] += 1;
        let answered = match perform(request, settings) {
            Ok(KeeperAnswer::Opened(opened)) => answer(line, 0, Some(&opened)),
            Ok(KeeperAnswer::Expired) => answer(line, 0, None),
            Err(error) => answer(line, error.raw_os_error().unwrap_or(libc::EIO), None),
        };
        if answered.is_err() {
            break;
        }
    }
    asked
}

fn answer(line: &OwnedFd, errno: i32, opened: Option<&Opened>) -> io::Result<()> {
    let mut bytes = errno.to_le_bytes().to_vec();
    bytes.push(opened.is_some_and(|opened| opened.torn).into());
    bytes.push(opened.is_some_and(|opened| opened.shared).into());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let handed = opened.map(|opened| [opened.fd.as_fd()]);
    if let Some(handed) = &handed {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(handed)));
    }
    sendmsg(
        line,
        &[io::IoSlice::new(&bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// The other side.
pub fn ask(line: &OwnedFd, request: KeeperRequest) -> io::Result<KeeperAnswer> {
    let (number, ours) = match request {
        KeeperRequest::Open => (0, None),
        KeeperRequest::PutAside { ours } => (1, Some(ours)),
        KeeperRequest::Expire => (2, None),
    };
    let mut bytes = vec![number];
    bytes.extend(ours.map_or(0, |ours| ours.device).to_le_bytes());
    bytes.extend(ours.map_or(0, |ours| ours.inode).to_le_bytes());
    send(line, &bytes, SendFlags::NOSIGNAL)?;
    let mut answer = [0; 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        line,
        &mut [io::IoSliceMut::new(&mut answer)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes != 6 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let errno = i32::from_le_bytes(answer[..4].try_into().expect("four bytes"));
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut handed) = message
            && let Some(fd) = handed.next()
        {
            return Ok(KeeperAnswer::Opened(Opened {
                fd,
                torn: answer[4] == 1,
                shared: answer[5] == 1,
            }));
        }
    }
    Ok(KeeperAnswer::Expired)
}
