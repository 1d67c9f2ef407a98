//! What neither the broker nor the helper ever needs, nor what they start: the parts of the kernel that break-ins go through.

use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, ENOSYS, c_int, c_long};

use super::{Calls, bits, is, is_not, number};

/// The kind of a socket without its flags (socket(2)).
const KIND: u32 = 0xf;

/// Calls that end the process, whatever their arguments are.
const NEVER: &[c_long] = &[
    // Into other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    // Other namespaces and file systems.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Code in the kernel, and another kernel.
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    // Large and seldom used parts.
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_acct,
    libc::SYS_syslog,
    // The clock and the machine's name.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// What only this machine has.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[libc::SYS_kexec_file_load];

/// Calls that end the process.
pub(super) fn ending() -> Calls {
    let mut calls: Calls = NEVER
        .iter()
        .chain(OLD)
        .map(|call| (*call, Vec::new()))
        .collect();
    let known = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];
    let foreign = known.map(|family| is_not(0, number(family))).to_vec();
    let raw = |family: c_int| vec![is(0, number(family)), bits(1, KIND, number(libc::SOCK_RAW))];
    calls.insert(libc::SYS_socket, vec![foreign, raw(AF_INET), raw(AF_INET6)]);
    calls
}

/// Calls that programs try and can do without, by the error that they get.
pub(super) fn answered() -> Vec<(c_int, Calls)> {
    let ring = [
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
    ];
    let ring = ring.iter().map(|call| (*call, Vec::new())).collect();
    vec![(ENOSYS, ring)]
}
