//! Exit points: a rule has somebody else decide, at the login and at commands.
//!
//! The command waits, and the client's lane with it, until the answer is there; then it is judged once more, with the
//! answer in hand. Invariant: one question is outstanding per session, at most one answer is taken for it, and whatever is
//! not a clear yes in time is a no. A session that nobody asks about holds nothing here. This module must not know how
//! somebody is asked.

mod answer;
mod login;
mod question;

use std::sync::Arc;
use std::time::Duration;

use super::fault::OwnFault;
use super::reason::Ruling;
use super::session::{Session, Step};
use super::{AskFault, Event, Output, Settings};
use crate::ftp::{Command, Reply, Verb};
use crate::policy::{Ask, Asked, Moment, Observed, Origin};

pub use answer::{Account, Answer, Grant, LONGEST_ANSWER};
pub use login::Passwords;
pub use question::LONGEST_QUESTION;

/// How much longer than the rule's time-out the engine waits: the shell keeps the time-out and says what went wrong; this is
/// for a shell whose answer got lost.
const GRACE: Duration = Duration::from_secs(1);

/// Most questions about one command: one for each moment, and some for rules that are replaced meanwhile.
const MOST_QUESTIONS: usize = 8;

/// Most answers that hold for the rest of a session; for more rules it is asked again each time.
const MOST_REMEMBERED: usize = 64;

/// A question's number within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionId(pub u32);

/// What a session keeps of questions and answers.
#[derive(Debug, Default)]
pub(super) struct Exits {
    last: u32,
    asking: Option<Asking>,
    /// What was answered about the command that is being judged.
    answers: Vec<Answered>,
    /// Rules that were recorded as matching it already.
    said: Vec<Observed>,
    /// Nobody could decide about the command that is being judged.
    undecided: bool,
    /// What holds for the rest of the session.
    remembered: Vec<Answered>,
    login: login::Login,
}

/// A question whose answer is awaited.
#[derive(Debug)]
struct Asking {
    id: QuestionId,
    rule: Arc<Origin>,
    ask: Arc<Ask>,
    moment: Moment,
    command: Command,
    since: Duration,
}

/// An answer to what a rule had asked.
#[derive(Clone, Debug)]
struct Answered {
    rule: Arc<Origin>,
    ask: Arc<Ask>,
    /// The refusal; none where it may happen.
    refusal: Option<Reply>,
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Consent {
    /// It is being asked; the command comes again.
    Awaited,
    /// It may happen.
    Given,
    /// It must not, and these are the words.
    Refused(Reply),
}

impl Exits {
    fn find(&self, rule: &Origin, ask: &Ask) -> Option<&Answered> {
        let mut all = self.answers.iter().chain(&self.remembered);
        all.find(|one| *one.rule == *rule && *one.ask == *ask)
    }
}

impl Session {
    fn exits(&mut self) -> &mut Exits {
        self.known.facts().exits.get_or_insert_default()
    }

    fn existing_exits(&mut self) -> Option<&mut Exits> {
        self.known.existing()?.exits.as_deref_mut()
    }

    /// Tells whether the client's next command waits for an answer.
    pub(super) fn is_asking(&self) -> bool {
        self.asking().is_some()
    }

    /// Tells whether the command that is being judged has waited for an answer already.
    pub(super) fn has_waited(&self) -> bool {
        let exits = self.known.get().and_then(|known| known.exits.as_deref());
        exits.is_some_and(|exits| !exits.answers.is_empty())
    }

    /// Tells whether nobody could decide about the command that is being judged: that is not its client's fault.
    pub(super) fn is_undecided(&self) -> bool {
        let exits = self.known.get().and_then(|known| known.exits.as_deref());
        exits.is_some_and(|exits| exits.undecided)
    }

    fn asking(&self) -> Option<&Asking> {
        self.known.get()?.exits.as_deref()?.asking.as_ref()
    }

    /// When the answer is given up.
    pub(super) fn answer_due(&self) -> Option<Duration> {
        let asking = self.asking()?;
        Some(asking.since + asking.ask.timeout + GRACE)
    }

    /// Shows the rules whose match was recorded before the question.
    pub(super) fn said_before(&self, observed: &Observed) -> bool {
        let exits = self.known.get().and_then(|known| known.exits.as_deref());
        exits.is_some_and(|exits| exits.said.contains(observed))
    }

    /// Asks whoever a rule names, unless that was answered already.
    pub(super) fn consent(
        &mut self,
        step: &mut Step,
        command: &Command,
        asked: Asked<'_>,
        rule: &Arc<Origin>,
        ask: &Arc<Ask>,
        observed: &[Observed],
    ) -> Consent {
        let moment = asked.moment();
        let exits = self.exits();
        if let Some(answered) = exits.find(rule, ask) {
            return match &answered.refusal {
                None => Consent::Given,
                Some(reply) => Consent::Refused(reply.clone()),
            };
        }
        exits.said.extend_from_slice(observed);
        exits.last = exits.last.wrapping_add(1);
        let many = exits.answers.len() >= MOST_QUESTIONS;
        let id = QuestionId(exits.last);
        let asking = Asking {
            id,
            rule: Arc::clone(rule),
            ask: Arc::clone(ask),
            moment,
            command: command.clone(),
            since: step.now.mono,
        };
        let question = self.question(step.now.wall, rule, command, asked);
        let Some(question) = question.filter(|_| !many) else {
            return self.failed(step, &asking, AskFault::TooLong);
        };
        self.exits().asking = Some(asking);
        step.out.push(Output::Ask {
            id,
            ask: Arc::clone(ask),
            question,
        });
        Consent::Awaited
    }

    /// Takes an answer, or why there is none; the command is judged again.
    pub(super) fn answered(
        &mut self,
        step: &mut Step,
        id: QuestionId,
        answer: Result<&[u8], AskFault>,
    ) {
        // Whoever answers late or twice answers nothing.
        let Some(asking) = self
            .existing_exits()
            .and_then(|exits| exits.asking.take_if(|asking| asking.id == id))
        else {
            return;
        };
        let answer = answer
            .and_then(|line| Answer::parse(line, asking.command.verb == Verb::Pass))
            .and_then(|answer| self.permitted(&asking.ask, answer));
        let refusal = match answer {
            Err(why) => match self.failed(step, &asking, why) {
                Consent::Refused(reply) => Some(reply),
                Consent::Given | Consent::Awaited => return,
            },
            Ok(answer) => {
                self.report_answer(step, &asking, &answer);
                let refusal = (!answer.allows).then(|| match answer.reply {
                    Some(reply) => reply,
                    None => no(asking.command.verb),
                });
                self.remember(&asking, answer.session, refusal.as_ref(), answer.grant);
                refusal
            }
        };
        self.exits().answers.push(Answered {
            rule: asking.rule,
            ask: asking.ask,
            refusal,
        });
        // It was the next to be taken, and still is.
        self.stash = Some(Box::new(asking.command));
    }

    fn remember(
        &mut self,
        asking: &Asking,
        session: bool,
        refusal: Option<&Reply>,
        grant: Option<Grant>,
    ) {
        let exits = self.exits();
        exits.login.grant(grant);
        if session && exits.remembered.len() < MOST_REMEMBERED {
            exits.remembered.push(Answered {
                rule: Arc::clone(&asking.rule),
                ask: Arc::clone(&asking.ask),
                refusal: refusal.cloned(),
            });
        }
    }

    fn report_answer(&mut self, step: &mut Step, asking: &Asking, answer: &Answer) {
        let grant = answer.grant.as_ref();
        let account = grant.and_then(|grant| grant.login_as.as_ref());
        let event = Event::AskAnswered {
            command: asking.command.to_string(),
            moment: asking.moment,
            rule: Ruling(Arc::clone(&asking.rule)),
            answer: answer.word(),
            upstream: grant.and_then(|grant| grant.upstream.clone()),
            login_as: account
                .map(|account| crate::ftp::escaped(account.user.as_bytes()).to_string()),
            start_in: grant
                .and_then(|grant| grant.start_in.as_ref())
                .map(|path| crate::ftp::escaped(path.as_bytes()).to_string()),
            micros: super::session::micros_between(asking.since, step.now.mono),
        };
        self.report(step, event);
    }

    fn failed(&mut self, step: &mut Step, asking: &Asking, why: AskFault) -> Consent {
        self.exits().undecided = true;
        let event = Event::AskFailed {
            command: asking.command.to_string(),
            moment: asking.moment,
            rule: Ruling(Arc::clone(&asking.rule)),
            why,
            micros: super::session::micros_between(asking.since, step.now.mono),
        };
        self.report(step, event);
        Consent::Refused(match asking.command.verb {
            Verb::Pass => Reply::new(
                530,
                "Whoever decides about logins can't be asked; try again later.",
            ),
            _ => OwnFault::CannotAsk.reply(),
        })
    }

    /// Nobody answered in time.
    pub(super) fn answer_overdue(&mut self, step: &mut Step) {
        if let Some(id) = self.asking().map(|asking| asking.id) {
            self.answered(step, id, Err(AskFault::TimedOut));
        }
    }

    /// The command that was asked about is done with.
    pub(super) fn command_done(&mut self) {
        if let Some(exits) = self.existing_exits().filter(|exits| exits.asking.is_none()) {
            exits.answers = Vec::new();
            exits.said = Vec::new();
            exits.undecided = false;
        }
    }

    /// Another user comes, or other rules: what was answered for the rest of the session holds no more.
    pub(super) fn forget_consents(&mut self) {
        if let Some(exits) = self.existing_exits() {
            exits.remembered = Vec::new();
        }
    }

    /// The session ends: no answer is awaited.
    pub(super) fn forget_exits(&mut self) {
        if let Some(known) = self.known.existing() {
            known.exits = None;
        }
    }

    /// Puts new settings in force, those of the upstream that the session is with.
    pub(super) fn settings_replaced(&mut self, settings: Arc<Settings>) {
        if !Arc::ptr_eq(&settings.rules, &self.settings.rules) {
            self.forget_consents();
        }
        self.settings = self.settings_here(settings);
    }
}

fn no(verb: Verb) -> Reply {
    match verb {
        Verb::Pass => Reply::new(530, "Login refused."),
        _ => Reply::new(550, "Not allowed."),
    }
}
