//! Filters of system calls (seccomp(2)): who breaks in finds most of the kernel shut.
//!
//! The gateway has a list of what it may call; anything else ends it at once by SIGSYS, which it can't catch. A few calls
//! that libraries try and can do without are answered with an error instead. The broker, the helper and whatever they start
//! have a list of what none of them ever needs: a filter is inherited and can't be loosened again, so theirs can't be as tight
//! as the gateway's.
//!
//! Filters see numbers, never what a pointer leads to: a path or an address can't be judged here.

mod allowed;
mod forbidden;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::Error;

/// Conditions on a call's arguments, all of which must hold.
type When = Vec<Condition>;

/// System calls by number; each with alternatives, and none where it matches always.
type Calls = BTreeMap<i64, Vec<When>>;

/// A condition on one argument, of which 32 bits count: flags, families, levels and options are no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    argument: u8,
    test: Test,
}

/// What an argument is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Is(u32),
    IsNot(u32),
    /// These bits are exactly so.
    Bits {
        mask: u32,
        are: u32,
    },
}

fn is(argument: u8, value: u32) -> Condition {
    Condition {
        argument,
        test: Test::Is(value),
    }
}

fn is_not(argument: u8, value: u32) -> Condition {
    Condition {
        argument,
        test: Test::IsNot(value),
    }
}

fn bits(argument: u8, mask: u32, are: u32) -> Condition {
    Condition {
        argument,
        test: Test::Bits { mask, are },
    }
}

/// Flags and options are positive; libc has them as signed numbers.
fn number(value: libc::c_int) -> u32 {
    value.cast_unsigned()
}

/// Puts the gateway's filters in force, on all threads. The strictest answer of all filters counts (seccomp(2)), so what is to be
/// answered with an error is also on the list of what is allowed.
pub(super) fn allow_gateway() -> Result<(), Error> {
    for (errno, calls) in allowed::answered() {
        let error = SeccompAction::Errno(number(errno));
        install(&calls, SeccompAction::Allow, error)?;
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // Last, since it forbids to install more.
    install(
        &allowed::gateway(number(own)),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
    )
}

/// Puts the filters of the broker and the helper in force, on all threads and for all that they start.
pub(super) fn forbid_the_never_needed() -> Result<(), Error> {
    for (errno, calls) in forbidden::answered() {
        let error = SeccompAction::Errno(number(errno));
        install(&calls, SeccompAction::Allow, error)?;
    }
    install(
        &forbidden::ending(),
        SeccompAction::Allow,
        SeccompAction::KillProcess,
    )
}

fn install(calls: &Calls, others: SeccompAction, these: SeccompAction) -> Result<(), Error> {
    let program = compile(calls, others, these)?;
    apply_filter_all_threads(&program).map_err(|error| {
        let source = match error {
            seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
            other => std::io::Error::other(other),
        };
        Error::Kernel {
            doing: "filtering system calls (seccomp)",
            source,
        }
    })
}

fn compile(
    calls: &Calls,
    others: SeccompAction,
    these: SeccompAction,
) -> Result<BpfProgram, Error> {
    let machine = std::env::consts::ARCH;
    let arch = TargetArch::try_from(machine).map_err(|_| Error::Machine(machine))?;
    let built = || -> Result<BpfProgram, seccompiler::BackendError> {
        let mut rules = BTreeMap::new();
        for (call, alternatives) in calls {
            let alternatives: Result<Vec<_>, _> = alternatives.iter().map(rule).collect();
            rules.insert(*call, alternatives?);
        }
        SeccompFilter::new(rules, others, these, arch)?.try_into()
    };
    built().map_err(|error| Error::Kernel {
        doing: "composing the filter of system calls",
        source: std::io::Error::other(error),
    })
}

fn rule(when: &When) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions: Result<Vec<_>, _> = when
        .iter()
        .map(|condition| {
            let (operator, value) = match condition.test {
                Test::Is(value) => (SeccompCmpOp::Eq, value),
                Test::IsNot(value) => (SeccompCmpOp::Ne, value),
                Test::Bits { mask, are } => (SeccompCmpOp::MaskedEq(u64::from(mask)), are),
            };
            SeccompCondition::new(
                condition.argument,
                SeccompCmpArgLen::Dword,
                operator,
                u64::from(value),
            )
        })
        .collect();
    SeccompRule::new(conditions?)
}
