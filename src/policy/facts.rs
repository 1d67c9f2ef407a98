//! What is known of a request, worked out once before any rule is asked.

use super::network::number;
use super::operation::Operation;
use super::path::{Canonical, Doubt};
use super::request::{Asked, Circumstances, DataFacts, Moment, Request, Words};
use super::target::Target;
use super::user::Account;
use crate::ftp::Verb;

/// What is known of the command.
#[expect(
    clippy::large_enum_variant,
    reason = "one a decision, on the stack: a box would be an allocation each time"
)]
pub(super) enum Subject<'a> {
    /// There is none yet.
    None,
    /// It is here.
    Command {
        words: Words<'a>,
        operation: Option<Operation>,
        path: PathFact,
    },
    /// Only its verb is given; what stands behind it may be anything.
    AnyOf(Verb),
    /// Some transfer command that has not come.
    Coming,
}

/// What is known of the path that a command names.
#[expect(
    clippy::large_enum_variant,
    reason = "one a decision, on the stack: a box would be an allocation each time"
)]
pub(super) enum PathFact {
    /// The command names none.
    None,
    /// It names one, and it can't be told.
    Unknown(Doubt),
    /// It is this one.
    Known(Canonical),
    /// No rule asks.
    NotAsked,
}

/// Everything that conditions are compared with.
pub(super) struct Facts<'a> {
    pub(super) session: Circumstances<'a>,
    pub(super) moment: Moment,
    pub(super) subject: Subject<'a>,
    pub(super) account: Option<Account<'a>>,
    pub(super) data: Option<DataFacts>,
    pub(super) size: Option<u64>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(request: &Request<'a>, needs_paths: bool) -> Facts<'a> {
        let session = request.session;
        let words = request.asked.words();
        let (data, size) = match request.asked {
            Asked::Connection | Asked::Command(_) => (None, None),
            Asked::Data { data, .. } => (Some(data), None),
            Asked::Transfer { data, size, .. } => (Some(data), size),
        };
        let subject = match words {
            None => Subject::None,
            Some(words) => Subject::Command {
                words,
                operation: Operation::of(&words),
                path: if needs_paths {
                    path(&session, &words)
                } else {
                    PathFact::NotAsked
                },
            },
        };
        let user = match words {
            // Who logs in is who is asked about.
            Some(Words {
                verb: Verb::User,
                argument,
                ..
            }) => argument,
            Some(_) => session.user,
            None => None,
        };
        Facts {
            account: account(&session, user),
            session,
            moment: request.asked.moment(),
            subject,
            data,
            size,
        }
    }

    /// Knows what is known before a transfer command has come.
    pub(super) fn before_transfer(request: &Request<'a>) -> Facts<'a> {
        let mut facts = Facts::of(request, false);
        facts.subject = Subject::Coming;
        facts
    }

    /// Knows a session and a verb, and nothing of what stands behind it.
    pub(super) fn any_of(session: &Circumstances<'a>, verb: Verb) -> Facts<'a> {
        Facts {
            account: account(session, session.user),
            session: *session,
            moment: Moment::Command,
            subject: Subject::AnyOf(verb),
            data: None,
            size: None,
        }
    }

    pub(super) fn words(&self) -> Option<Words<'a>> {
        match &self.subject {
            Subject::Command { words, .. } => Some(*words),
            Subject::None | Subject::AnyOf(_) | Subject::Coming => None,
        }
    }

    /// Returns the client's address as a number, and whether it is IPv4.
    pub(super) fn client(&self) -> Option<(u128, bool)> {
        let address = self.session.client?.to_canonical();
        Some((number(address), address.is_ipv4()))
    }
}

fn account<'a>(session: &Circumstances<'a>, user: Option<&'a [u8]>) -> Option<Account<'a>> {
    let no_case = session
        .paths
        .is_some_and(|paths| paths.users_have_no_case());
    user.map(|user| Account::of(user, no_case))
}

fn path(session: &Circumstances<'_>, words: &Words<'_>) -> PathFact {
    let target = Target::of(words);
    if target == Target::Nothing {
        return PathFact::None;
    }
    match Canonical::of(target, session.paths, session.cwd) {
        Ok(path) => PathFact::Known(path),
        Err(doubt) => PathFact::Unknown(doubt),
    }
}
