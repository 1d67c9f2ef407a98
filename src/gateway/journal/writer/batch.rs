//! Several lines at once: numbered together, written by one call, taken apart again only when that fails.

use super::super::Refused;
use super::super::line::Line;
use super::{Health, Put, WAITING_BYTES, WAITING_LINES, Writer};

impl Writer {
    /// Numbers rendered lines and writes them, keeps them, or counts them lost. Only the last may gate an effect, and
    /// only it may be refused.
    pub(in super::super) fn accept(
        &mut self,
        lines: &mut [Line],
        last_gates_effect: bool,
    ) -> Result<(), Refused> {
        let out = if self.catch_up() {
            self.write(lines)
        } else {
            0
        };
        let Some(left) = lines.get_mut(out..) else {
            return Ok(());
        };
        let count = left.len();
        let mut accepted = Ok(());
        for (index, line) in left.iter_mut().enumerate() {
            accepted = self.put_aside(line, last_gates_effect && index + 1 == count);
        }
        accepted
    }

    /// Writes lines by one call; tells how many of them need nothing more.
    fn write(&mut self, lines: &mut [Line]) -> usize {
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        for (number, line) in (self.seq + 1..).zip(lines.iter_mut()) {
            line.number(number);
            joined.extend_from_slice(line.bytes());
        }
        let put = self.put(&joined);
        self.joined = joined;
        match put {
            Put::Whole => {
                self.number_whole(lines.len());
                lines.len()
            }
            Put::Part(done) => {
                let (whole, begun) = split(lines, done);
                self.number_whole(whole);
                self.slowed();
                match lines.get(whole).filter(|_| begun > 0) {
                    Some(line) => {
                        // The reader has the beginning, so the rest must follow: too late to refuse.
                        self.seq += 1;
                        self.keep(line.bytes());
                        self.begun = begun;
                        whole + 1
                    }
                    None => whole,
                }
            }
            Put::Failed { error, done, torn } => {
                let (whole, _) = split(lines, done);
                self.number_whole(whole);
                // A torn line carries its number: no other line may.
                self.seq += u64::from(torn);
                self.broke(&error);
                whole
            }
        }
    }

    fn number_whole(&mut self, lines: usize) {
        self.seq += lines as u64;
        self.records += lines as u64;
    }

    /// Keeps a line that could not be written, refuses it if an effect waits for it, or counts it lost.
    fn put_aside(&mut self, line: &mut Line, gates_effect: bool) -> Result<(), Refused> {
        let patient = match self.health() {
            Health::Fine | Health::Slow { .. } => true,
            Health::Stuck | Health::Broken => false,
        };
        line.number(self.seq + 1);
        let room = self.waiting.len() < WAITING_LINES
            && self.waiting_bytes + line.bytes().len() <= WAITING_BYTES;
        if gates_effect && !(patient && room) {
            return Err(Refused);
        }
        self.seq += 1;
        if room {
            self.keep(line.bytes());
        } else {
            self.lost += 1;
            self.untold += 1;
            self.gap_due = true;
        }
        Ok(())
    }
}

/// Tells how many lines went out whole with these bytes, and how much of the next.
fn split(lines: &[Line], done: usize) -> (usize, usize) {
    let mut left = done;
    for (index, line) in lines.iter().enumerate() {
        match left.checked_sub(line.bytes().len()) {
            Some(rest) => left = rest,
            None => return (index, left),
        }
    }
    (lines.len(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Event, Record, Wall};
    use crate::gateway::journal::line::Privacy;

    #[test]
    fn what_went_out_is_counted_in_whole_lines_and_a_beginning() {
        let record = Record {
            at: Wall(0),
            session: None,
            client: None,
            user: None,
            event: Event::JournalGap { lost: 1 },
        };
        let mut lines = [Line::new(), Line::new(), Line::new()];
        for (number, line) in (1..).zip(lines.iter_mut()) {
            line.render(&record, Privacy::NOTHING_TO_HIDE);
            line.number(number);
        }
        let length = lines[0].bytes().len();
        assert_eq!(split(&lines, 0), (0, 0));
        assert_eq!(split(&lines, length - 1), (0, length - 1));
        assert_eq!(split(&lines, length), (1, 0));
        assert_eq!(split(&lines, 2 * length + 5), (2, 5));
        assert_eq!(split(&lines, 3 * length), (3, 0));
    }
}
