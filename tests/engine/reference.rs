//! The naive reference: what a client sees that talks to a server without faults directly, and what it leaves there.
//!
//! No chunks, no time, no gateway: one command after the other. It knows of the gateway only what it refuses, and how
//! many pinholes a negotiation takes.

use portcullis::engine::DataMode;

use crate::simulation::client::View;
use crate::simulation::script::{Mode, Plan, Step};
use crate::simulation::server::{Abor, Disk, Personality};

/// What is expected of one step.
#[derive(Debug, Default)]
pub struct Expected {
    /// For each final reply, in order, how it may begin.
    finals: Vec<Vec<String>>,
    /// What is downloaded: all of it, or any beginning of it when it was cut off.
    content: Option<Vec<u8>>,
    marks: u32,
    may_be_cut: bool,
    any_order: bool,
    /// Pinholes that it takes.
    pub holes: u32,
}

/// The server's disk as a client that reads its own replies believes it to be.
pub struct Reference {
    pub disk: Disk,
    personality: Personality,
    data_mode: DataMode,
    /// TLS is offered to the client, and not taken yet.
    offered: Option<bool>,
}

impl Reference {
    pub fn new(disk: Disk, personality: Personality, data_mode: DataMode, tls: bool) -> Reference {
        Reference {
            disk,
            personality,
            data_mode,
            offered: tls.then_some(true),
        }
    }

    pub fn step(&mut self, step: &Step) -> Expected {
        let mut expected = Expected::default();
        match step {
            Step::Lines(lines) => {
                for line in lines {
                    expected.finals.push(vec![self.line(line)]);
                }
            }
            Step::Lapse(mode) => {
                expected.finals = vec![vec![negotiated(*mode)], vec!["425".to_owned()]];
                expected.holes = self.holes(*mode);
            }
            Step::Transfer(plan) => self.transfer(plan, &mut expected),
        }
        expected
    }

    fn line(&mut self, line: &str) -> String {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "USER" => "331".to_owned(),
            "PASS" => "230 in".to_owned(),
            "NOOP" | "TYPE" => "200 ok".to_owned(),
            "PWD" => "257 \"/\" is here".to_owned(),
            "STAT" => "211 fine".to_owned(),
            // A server that hangs up without a word is answered for.
            "QUIT" => "221".to_owned(),
            "SIZE" => match self.disk.get(argument) {
                Some(content) => format!("213 {}", content.len()),
                None => "550 no such file".to_owned(),
            },
            "DELE" => match self.disk.remove(argument) {
                Some(_) => "250 gone".to_owned(),
                None => "550 no such file".to_owned(),
            },
            "SITE" => "550 SITE".to_owned(),
            "AUTH" => match self.offered.replace(false) {
                None => {
                    self.offered = None;
                    "534".to_owned()
                }
                Some(true) => "234".to_owned(),
                Some(false) => "503".to_owned(),
            },
            "PBSZ" | "PROT" => "200".to_owned(),
            "PORT" => "504".to_owned(),
            _ => "502".to_owned(),
        }
    }

    fn holes(&self, mode: Mode) -> u32 {
        let passive = matches!(mode, Mode::Pasv | Mode::Epsv);
        let upstream_awaits = match self.data_mode {
            DataMode::Active => true,
            DataMode::Passive => false,
            DataMode::AsClient => !passive,
        };
        u32::from(passive) + u32::from(upstream_awaits)
    }

    fn transfer(&mut self, plan: &Plan, expected: &mut Expected) {
        expected.holes = self.holes(plan.mode);
        let rest = plan.rest.map(|(offset, _)| offset);
        if rest.is_some() {
            expected.finals.push(vec!["350".to_owned()]);
        }
        expected.finals.push(vec![negotiated(plan.mode)]);
        if rest.is_some() && plan.rest.is_some_and(|(_, before)| !before) {
            expected.finals.swap(0, 1);
        }
        let from = rest.unwrap_or(0);
        if plan.verb == "RETR" {
            let Some(content) = self.disk.get(plan.name) else {
                return expected.finals.push(vec!["550 no such file".to_owned()]);
            };
            expected.content = Some(content.get(from..).unwrap_or_default().to_vec());
        } else {
            let file = self.disk.entry(plan.name.to_owned()).or_default();
            if plan.verb == "STOR" {
                file.truncate(from);
            }
            file.extend_from_slice(&plan.content);
        }
        expected.marks = 1;
        let done = if plan.verb == "RETR" {
            "226 sent"
        } else {
            "226 stored"
        };
        match plan.meanwhile {
            None => expected.finals.push(vec![done.to_owned()]),
            Some("ABOR") => {
                expected.may_be_cut = true;
                expected.any_order = self.personality.abor == Abor::Refused;
                expected
                    .finals
                    .push(vec!["226".to_owned(), "426".to_owned()]);
                expected.finals.push(match self.personality.abor {
                    Abor::Both | Abor::Single | Abor::Surplus => {
                        vec!["226".to_owned(), "225".to_owned()]
                    }
                    Abor::Refused => vec!["226".to_owned(), "225".to_owned(), "502".to_owned()],
                });
            }
            Some(line) => {
                expected.any_order = self.personality.answers_early;
                expected.finals.push(vec![done.to_owned()]);
                let answer = self.line(line);
                expected.finals.push(vec![answer]);
            }
        }
    }
}

fn negotiated(mode: Mode) -> String {
    match mode {
        Mode::Pasv => "227 Entering Passive Mode (203,0,113,10,".to_owned(),
        Mode::Epsv => "229 Entering Extended Passive Mode (|||".to_owned(),
        Mode::Port | Mode::Eprt => "200".to_owned(),
    }
}

impl Expected {
    /// Says in what a view differs.
    pub fn difference(&self, view: &View) -> Option<String> {
        let fits = |order: &mut dyn Iterator<Item = &String>| {
            let mut order = order.zip(&self.finals);
            order.all(|(seen, wanted)| wanted.iter().any(|start| seen.starts_with(start)))
        };
        let in_order = fits(&mut view.finals.iter());
        let swapped = {
            let mut finals: Vec<&String> = view.finals.iter().collect();
            let last = finals.len();
            if last >= 2 {
                finals.swap(last - 1, last - 2);
            }
            fits(&mut finals.into_iter())
        };
        if view.finals.len() != self.finals.len() || !(in_order || self.any_order && swapped) {
            return Some(format!(
                "replies {:?}, expected {:?}",
                view.finals, self.finals
            ));
        }
        if view.marks != self.marks {
            return Some(format!(
                "{} preliminary replies, expected {}",
                view.marks, self.marks
            ));
        }
        let told_whole = view
            .finals
            .iter()
            .any(|reply| reply.starts_with("226 sent"));
        let same = match (&self.content, &view.content) {
            (None, None) => true,
            (Some(wanted), Some((got, true))) => wanted == got,
            (Some(wanted), Some((got, false))) => {
                self.may_be_cut && !told_whole && wanted.starts_with(got)
            }
            (Some(_), None) => self.may_be_cut && !told_whole,
            // A connection that was shut without a byte, because the command was refused.
            (None, Some((got, whole))) => got.is_empty() && !whole,
        };
        (!same).then(|| format!("content {:?}, expected {:?}", view.content, self.content))
    }
}
