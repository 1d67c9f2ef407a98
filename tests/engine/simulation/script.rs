//! What the simulated client is going to do, drawn from the seed.

use super::dice::Dice;

/// How the client sets up a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pasv,
    Epsv,
    Port,
    Eprt,
}

/// When a passive client dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dials {
    BeforeCommand,
    WithCommand,
    After150,
}

/// One transfer.
#[derive(Clone, Debug)]
pub struct Plan {
    pub mode: Mode,
    pub verb: &'static str,
    pub name: &'static str,
    /// What is sent by STOR and APPE.
    pub content: Vec<u8>,
    /// REST's offset, and whether it is said before the negotiation.
    pub rest: Option<(usize, bool)>,
    pub dials: Dials,
    /// Sent at the 150.
    pub meanwhile: Option<&'static str>,
}

/// One step; the next one begins when all of its replies came.
#[derive(Clone, Debug)]
pub enum Step {
    /// Lines that are sent at once.
    Lines(Vec<&'static str>),
    Transfer(Plan),
    /// A negotiation that is not used until its pinhole lapses; then a command that comes too late.
    Lapse(Mode),
}

/// Names on the server's disk at first, and one that is not there.
pub const NAMES: [&str; 4] = ["one", "two", "gr\u{fc}n \"x\"", "missing"];

const LINES: [&str; 12] = [
    "NOOP",
    "PWD",
    "STAT",
    "TYPE I",
    "SIZE one",
    "SIZE missing",
    "DELE two",
    "SITE EXEC id",
    "AUTH TLS",
    "P@SW",
    "XYZZY",
    "PORT 192,0,2,9,99,99",
];

/// A client that is offered TLS takes it, and has its data private, or not.
pub fn script(dice: &mut Dice, ipv6: bool, tls: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if tls {
        steps.push(Step::Lines(vec!["AUTH TLS"]));
        if !dice.one_in(3) {
            steps.push(Step::Lines(vec!["PBSZ 0", "PROT P"]));
        }
    }
    steps.push(Step::Lines(vec!["USER bob"]));
    steps.push(Step::Lines(vec!["PASS s3cret"]));
    for _ in 0..1 + dice.below(7) {
        steps.push(match dice.below(10) {
            0..=2 => {
                let count = 1 + dice.below(6);
                Step::Lines((0..count).map(|_| dice.pick(&LINES)).collect())
            }
            3 => Step::Lapse(if ipv6 { Mode::Epsv } else { Mode::Pasv }),
            _ => Step::Transfer(plan(dice, ipv6)),
        });
    }
    steps.push(Step::Lines(vec!["QUIT"]));
    steps
}

fn plan(dice: &mut Dice, ipv6: bool) -> Plan {
    let mode = match ipv6 {
        true => dice.pick(&[Mode::Epsv, Mode::Eprt]),
        false => dice.pick(&[Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt]),
    };
    let verb = dice.pick(&["RETR", "RETR", "STOR", "APPE"]);
    let size = dice.below(40) as usize;
    let content = (0..size).map(|_| b'a' + dice.below(26) as u8).collect();
    let meanwhile = match dice.below(6) {
        0 => Some("ABOR"),
        1 => Some("STAT"),
        2 => Some("NOOP"),
        _ => None,
    };
    // What a cut-off upload leaves is nobody's promise, so it goes to a name of its own.
    let name = match (verb, meanwhile) {
        ("STOR" | "APPE", Some("ABOR")) => "scratch",
        ("STOR" | "APPE", _) => dice.pick(&NAMES[..3]),
        _ => dice.pick(&NAMES),
    };
    let rest =
        (verb != "APPE" && dice.one_in(4)).then(|| (dice.below(12) as usize, dice.one_in(2)));
    Plan {
        mode,
        verb,
        name,
        content,
        rest,
        dials: dice.pick(&[Dials::BeforeCommand, Dials::WithCommand, Dials::After150]),
        meanwhile,
    }
}
