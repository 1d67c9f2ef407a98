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
    /// Whether the office may start its helper for this.
    pub(super) fn may_start_the_helper(self) -> bool {
        match self {
            Caller::HangUp | Caller::Office => true,
            Caller::Terminate
            | Caller::Process
            | Caller::Events
            | Caller::Request(_)
            | Caller::Hands(_) => false,
        }
    }
}
