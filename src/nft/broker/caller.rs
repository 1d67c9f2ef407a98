//! Who calls the broker.

/// Who has something for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Terminate,
    HangUp,
    Process,
    Events,
    Request(usize),
    /// The firewall: by the place of its descriptor, or because its time has come.
    Hands(Option<usize>),
    Office,
}

impl Caller {
    /// Whether the office may start a process when it hears this: not for what sessions ask, nor for what happens in the firewall.
    pub(super) fn may_have_a_process_started(self) -> bool {
        match self {
            Caller::Request(_) | Caller::Hands(_) | Caller::Events => false,
            Caller::Terminate | Caller::HangUp | Caller::Process | Caller::Office => true,
        }
    }
}
