//! What the gateway may call: found by watching all its work with strace(1), and told by kind.

use libc::{AF_INET, AF_INET6, AF_UNIX, EACCES, ENOSYS, SOCK_STREAM, c_int, c_long};

use super::{Calls, Condition, When, bits, is, number};

/// The kind of a socket without its flags (socket(2): SOCK_NONBLOCK, SOCK_CLOEXEC).
const KIND: u32 = 0xf;

/// What a thread of ours shares with the others, and all ways to get a namespace of its own.
const THREAD: c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM;
const NAMESPACES: c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Calls that need no look at their arguments.
const PLAIN: &[c_long] = &[
    // Descriptors that are open already.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    // Sockets that are there: what may be made is below.
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    // Memory, but nothing executable: see below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads and their locks.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time and randomness.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // Who it is.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
];

/// What only this machine has.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[libc::SYS_poll, libc::SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// Options of sockets: level and name.
const OPTIONS: &[(c_int, c_int)] = &[
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    // Classic BPF on sockets of its own: the guard of a pinhole.
    (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
    (libc::SOL_SOCKET, libc::SO_DETACH_FILTER),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
];

/// Commands of fcntl(2). Not F_SETFL: without O_APPEND the journal's old lines could be overwritten.
const DESCRIPTOR_COMMANDS: &[c_int] = &[
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETPIPE_SZ,
    libc::F_GETPIPE_SZ,
    libc::F_GET_SEALS,
];

/// Requests of ioctl(2).
const REQUESTS: &[c_long] = &[
    libc::FIONBIO as c_long,
    libc::FIONREAD as c_long,
    // SIOCOUTQ has the same number.
    libc::TIOCOUTQ as c_long,
    // isatty(3).
    libc::TCGETS as c_long,
];

/// Calls that are answered with an error, by error.
pub(super) fn answered() -> Vec<(c_int, Calls)> {
    let always = |calls: &[c_long]| {
        calls
            .iter()
            .map(|call| (*call, Vec::new()))
            .collect::<Calls>()
    };
    let mut no_access = always(FILES);
    no_access.extend(by_path().into_iter().map(|call| (call, Vec::new())));
    // With this flag they tell of an open descriptor (stat(2)).
    let path = |flags: u8| vec![vec![bits(flags, number(libc::AT_EMPTY_PATH), 0)]];
    no_access.insert(libc::SYS_newfstatat, path(3));
    no_access.insert(libc::SYS_statx, path(2));
    // A Unix socket reaches whoever listens at a path; the service manager, a container engine.
    no_access.insert(libc::SYS_socket, vec![vec![is(0, number(AF_UNIX))]]);
    vec![
        (EACCES, no_access),
        // Its flags stand in memory, where they can't be judged; the C library then takes clone(2).
        (ENOSYS, always(&[libc::SYS_clone3])),
    ]
}

/// What libraries ask of the file system and can do without: the number of CPUs, a backtrace's symbols, a terminal.
const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
];

/// The older forms of the same.
#[cfg(target_arch = "x86_64")]
fn by_path() -> Vec<c_long> {
    vec![
        libc::SYS_open,
        libc::SYS_access,
        libc::SYS_readlink,
        libc::SYS_stat,
        libc::SYS_lstat,
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn by_path() -> Vec<c_long> {
    Vec::new()
}

/// What the gateway of this process number may call.
pub(super) fn gateway(own: u32) -> Calls {
    let mut calls: Calls = PLAIN
        .iter()
        .chain(OLD)
        .chain(FILES)
        .map(|call| (*call, Vec::new()))
        .collect();
    calls.extend(by_path().into_iter().map(|call| (call, Vec::new())));
    // Opening for writing, or making a file, is no accident: it ends the process (open(2)).
    let writing = number(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC);
    let reading = |flags: u8| vec![vec![bits(flags, writing, number(libc::O_RDONLY))]];
    calls.insert(libc::SYS_openat, reading(2));
    #[cfg(target_arch = "x86_64")]
    calls.insert(libc::SYS_open, reading(1));
    calls.insert(libc::SYS_clone3, Vec::new());
    calls.insert(
        libc::SYS_clone,
        vec![vec![bits(0, number(THREAD | NAMESPACES), number(THREAD))]],
    );
    // Memory that is executable could be written before (mmap(2), mprotect(2)).
    let not_executable = || vec![vec![bits(2, number(libc::PROT_EXEC), 0)]];
    calls.insert(libc::SYS_mmap, not_executable());
    calls.insert(libc::SYS_mprotect, not_executable());
    // abort(3) and raise(3).
    calls.insert(libc::SYS_tgkill, vec![vec![is(0, own)]]);
    // Where the calling thread runs, and no other.
    calls.insert(libc::SYS_sched_setaffinity, vec![vec![is(0, 0)]]);
    // Its own limits, not another process's.
    calls.insert(libc::SYS_prlimit64, vec![vec![is(0, 0)], vec![is(0, own)]]);
    // The names of threads and of memory; nothing else of prctl(2).
    calls.insert(
        libc::SYS_prctl,
        one_of(0, &[libc::PR_SET_NAME, libc::PR_SET_VMA]),
    );

    let stream = |family: c_int, protocol: c_int| -> When {
        vec![
            is(0, number(family)),
            bits(1, KIND, number(SOCK_STREAM)),
            is(2, number(protocol)),
        ]
    };
    calls.insert(
        libc::SYS_socket,
        vec![
            stream(AF_INET, 0),
            stream(AF_INET, libc::IPPROTO_TCP),
            stream(AF_INET6, 0),
            stream(AF_INET6, libc::IPPROTO_TCP),
            // Answered with an error.
            vec![is(0, number(AF_UNIX))],
        ],
    );
    calls.insert(libc::SYS_socketpair, vec![vec![is(0, number(AF_UNIX))]]);
    calls.insert(
        libc::SYS_setsockopt,
        OPTIONS
            .iter()
            .map(|(level, option)| vec![is(1, number(*level)), is(2, number(*option))])
            .collect(),
    );
    calls.insert(libc::SYS_fcntl, one_of(1, DESCRIPTOR_COMMANDS));
    calls.insert(
        libc::SYS_ioctl,
        REQUESTS
            .iter()
            .filter_map(|request| u32::try_from(*request).ok())
            .map(|request| vec![is(1, request)])
            .collect(),
    );
    calls
}

fn one_of(argument: u8, values: &[c_int]) -> Vec<When> {
    let alternatives = values.iter().map(|value| {
        let only: Condition = is(argument, number(*value));
        vec![only]
    });
    alternatives.collect()
}
