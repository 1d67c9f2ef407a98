//! Another file under the same journal: rotation, reopening, new settings.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::keeper::{self, Opened};
use super::super::sink::Sink;
use super::super::{JournalSettings, Target};
use super::Writer;

/// How long a rotation that failed is not tried again.
const ROTATION_PAUSE: Duration = Duration::from_secs(60);

/// How rotation fares.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    /// Until when it is not tried again.
    pub(super) pause: Option<Instant>,
    /// Whether a file was put aside since the journal's thread last looked.
    pub(super) done: bool,
    /// Why the last one failed, until it is told.
    pub(super) error: Option<String>,
}

impl Writer {
    /// Opens the target anew.
    pub(in super::super) fn reopen(&mut self) -> io::Result<()> {
        if let Target::File(_) = self.settings.target {
            self.take(self.keeper.open(&self.settings)?)?;
            self.catch_up();
        }
        Ok(())
    }

    /// Takes new settings; a new target is opened first.
    pub(in super::super) fn replace_settings(
        &mut self,
        settings: JournalSettings,
    ) -> io::Result<()> {
        if settings.target != self.settings.target {
            self.take(self.keeper.open(&settings)?)?;
        }
        self.settings = settings;
        self.catch_up();
        Ok(())
    }

    fn take(&mut self, opened: Opened) -> io::Result<()> {
        let torn = opened.torn;
        let sink = Sink::new(opened)?;
        self.size = sink.length();
        self.torn = torn;
        self.begun = 0;
        self.sink = Arc::new(sink);
        Ok(())
    }

    /// Puts the file aside when the next line would make it too long; if that fails, it grows on.
    pub(super) fn rotate_before(&mut self, length: usize) {
        let Some(limit) = self.settings.rotate_size else {
            return;
        };
        let fits = self.size.saturating_add(length as u64) <= limit;
        if fits || !keeper::is_due(&self.settings, self.size) {
            return;
        }
        let Target::File(_) = &self.settings.target else {
            return;
        };
        if self
            .rotation
            .pause
            .is_some_and(|until| Instant::now() < until)
        {
            return;
        }
        let opened = self.sink.id().and_then(|ours| {
            let opened = self.keeper.put_aside(&self.settings, ours)?;
            self.take(opened)
        });
        let (pause, error) = match opened {
            Ok(()) => {
                self.rotation.done = true;
                (None, None)
            }
            // Twice in a second: the name is taken until the next.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (Some(Duration::from_secs(1)), None)
            }
            Err(error) => (Some(ROTATION_PAUSE), Some(error.to_string())),
        };
        self.rotation.pause = pause.map(|pause| Instant::now() + pause);
        self.calls = self.calls || pause.is_none() || error.is_some();
        self.rotation.error = error;
    }
}
