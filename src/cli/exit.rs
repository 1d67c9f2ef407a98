//! How a command ended.

use std::fmt;
use std::process::ExitCode;

/// Says how a command ended, in the numbers of sysexits(3) where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or the answer is yes.
    Done,
    /// 1: failed while running, or the answer is no (findings, failed examples).
    Failed,
    /// 2: something could not be read, or the command line is wrong.
    Unreadable,
    /// 69: the kernel lacks a feature.
    Unavailable,
    /// 77: this user may not do that.
    NotPermitted,
    /// 78: the configuration is wrong.
    Configuration,
}

impl Exit {
    /// Returns the number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unreadable => 2,
            Self::Unavailable => 69,
            Self::NotPermitted => 77,
            Self::Configuration => 78,
        }
    }

    /// Returns what a number means that another process of ours ended with.
    #[must_use]
    pub fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::Unreadable,
            69 => Self::Unavailable,
            77 => Self::NotPermitted,
            78 => Self::Configuration,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Says why a command could not be done, and with which exit code it ends.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What the user reads.
    pub error: anyhow::Error,
}

impl Failure {
    /// Makes a failure with a message of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            error: anyhow::Error::msg(message.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            exit: Exit::Failed,
            error,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

/// The causes stand behind the message on the same line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}
