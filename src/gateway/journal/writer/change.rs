//! Another file under the same journal: rotation, reopening, new settings.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::sink::Sink;
use super::super::{JournalSettings, Target, rotation};
use super::{Writer, now};

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
            let (sink, torn) = open(&self.settings)?;
            self.take(sink, torn);
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
            let (sink, torn) = open(&settings)?;
            self.take(sink, torn);
        }
        self.settings = settings;
        self.catch_up();
        Ok(())
    }

    fn take(&mut self, sink: Sink, torn: bool) {
        self.size = sink.length();
        self.torn = torn;
        self.begun = 0;
        self.sink = Arc::new(sink);
    }

    /// Puts the file aside when the next line would make it too long; if that fails, it grows on.
    pub(super) fn rotate_before(&mut self, length: usize) {
        let Some(limit) = self.settings.rotate_size else {
            return;
        };
        if self.size == 0 || self.size.saturating_add(length as u64) <= limit {
            return;
        }
        let Target::File(path) = &self.settings.target else {
            return;
        };
        if self
            .rotation
            .pause
            .is_some_and(|until| Instant::now() < until)
        {
            return;
        }
        let moved = match self.sink.is_at(path) {
            true => rotation::put_aside(path, now()),
            // Something else has moved it already.
            false => Ok(()),
        };
        let (pause, error) = match moved.and_then(|()| open(&self.settings)) {
            Ok((sink, torn)) => {
                self.take(sink, torn);
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

/// Opens what the settings name; tells whether it ends in the middle of a line.
pub(super) fn open(settings: &JournalSettings) -> io::Result<(Sink, bool)> {
    match &settings.target {
        Target::Stdout => Ok((Sink::stdout()?, false)),
        Target::File(path) => {
            let sink = Sink::open(path, settings.mode)?;
            let torn = sink.ends_torn(path);
            Ok((sink, torn))
        }
    }
}
