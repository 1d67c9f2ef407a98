use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc;

use rustix::event::{PollFd, PollFlags};

use super::*;

/// How long anything that must happen may take.
const LONG: Duration = Duration::from_secs(20);

/// Asks a shell's script, in so much time.
fn script(text: &str, timeout: Duration) -> Result<Vec<u8>, Fault> {
    let words = ["/bin/sh", "-c", text].map(str::to_owned);
    ask(
        &Exit::Program(words.to_vec()),
        b"{\"question\":1}\n",
        Instant::now() + timeout,
    )
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    (directory, path)
}

/// A server that does this with its one connection.
fn server(
    serve: impl FnOnce(std::os::unix::net::UnixStream) + Send + 'static,
) -> (tempfile::TempDir, Exit) {
    let (directory, path) = place();
    let listener = UnixListener::bind(&path).expect("bound");
    std::thread::spawn(move || serve(listener.accept().expect("a connection").0));
    (directory, Exit::Socket(path.display().to_string()))
}

#[test]
fn a_program_reads_the_question_and_answers_by_one_line() {
    assert_eq!(script("cat", LONG), Ok(b"{\"question\":1}".to_vec()));
    // The end of the line may be missing, and the question need not be read.
    assert_eq!(script("printf yes", LONG), Ok(b"yes".to_vec()));
    assert_eq!(script("exec <&-; echo yes", LONG), Ok(b"yes".to_vec()));
}

#[test]
fn a_long_question_is_handed_over_whole() {
    let words = ["/bin/sh", "-c", "wc -c"].map(str::to_owned);
    let question = vec![b'x'; LONGEST_QUESTION];
    let until = Instant::now() + LONG;
    let exit = Exit::Program(words.to_vec());
    let answer = ask(&exit, &question, until).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer).trim(), "32768");
    let longer = vec![b'x'; LONGEST_QUESTION + 1];
    assert_eq!(ask(&exit, &longer, until), Err(Fault::TooLong));
}

#[test]
fn what_is_not_one_line_of_a_program_that_ended_well_is_no_answer() {
    for (text, fault) in [
        ("true", Fault::Garbage),
        ("echo", Fault::Garbage),
        ("echo a; echo b", Fault::Garbage),
        ("echo yes; exit 3", Fault::ExitStatus),
        ("echo yes; kill -9 $$", Fault::ExitStatus),
        ("head -c 5000 /dev/zero", Fault::TooLong),
        // Longer than everything that fits into a pipe: it is not waited for.
        ("cat /dev/zero", Fault::TooLong),
    ] {
        assert_eq!(script(text, LONG), Err(fault), "{text}");
    }
    let missing = Exit::Program(vec!["/no/such/program".to_owned()]);
    let until = Instant::now() + LONG;
    assert_eq!(ask(&missing, b"\n", until), Err(Fault::Unreachable));
}

/// A pipe with a name, and a reader that sees its end when nobody holds it any more.
struct Held {
    _directory: tempfile::TempDir,
    path: PathBuf,
    reader: std::fs::File,
    ours: std::fs::File,
}

impl Held {
    fn new() -> Held {
        use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
        let (directory, path) = place();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let open = |flags: OFlags| {
            let flags = flags | OFlags::CLOEXEC;
            std::fs::File::from(open(&path, flags, Mode::empty()).expect("opened"))
        };
        let reader = open(OFlags::RDONLY | OFlags::NONBLOCK);
        let ours = open(OFlags::WRONLY);
        Held {
            _directory: directory,
            path,
            reader,
            ours,
        }
    }

    /// Waits until nobody else holds it; whoever was killed may still be at it.
    fn ends_too(self) {
        let Held {
            reader: mut pipe,
            ours,
            ..
        } = self;
        drop(ours);
        let mut polled = [PollFd::new(&pipe, PollFlags::IN)];
        let long = rustix::event::Timespec::try_from(LONG).expect("a time");
        assert_eq!(rustix::event::poll(&mut polled, Some(&long)), Ok(1), "held");
        let mut said = Vec::new();
        std::io::Read::read_to_end(&mut pipe, &mut said).expect("the end");
        assert_eq!(said, b"");
    }
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
    let held = Held::new();
    let text = format!(
        "exec 3>{}; sleep 600 & echo started >&2; sleep 600",
        held.path.display()
    );
    let asked = Instant::now();
    assert_eq!(script(&text, Duration::from_secs(2)), Err(Fault::TimedOut));
    assert!(asked.elapsed() < LONG);
    held.ends_too();
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let held = Held::new();
    // It holds the answer's pipe as well, which must not keep us waiting.
    let text = format!("exec 3>{}; sleep 600 & echo yes", held.path.display());
    assert_eq!(script(&text, LONG), Ok(b"yes".to_vec()));
    held.ends_too();
}

#[test]
fn a_program_finds_a_path_and_three_descriptors_and_nothing_else() {
    // One that whoever started us left open for all that we start.
    let left = std::fs::File::open("/dev/zero").expect("opened");
    rustix::io::fcntl_setfd(&left, rustix::io::FdFlags::empty()).expect("set");
    let text = "echo $(env | grep -v -e '^PWD=' -e '^SHLVL=' -e '^_=') $(pwd)";
    let answer = script(text, LONG).expect("an answer");
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /"
    );
    // 3 is the directory that `ls` reads.
    let words = ["/bin/ls", "-m", "/proc/self/fd"].map(str::to_owned);
    let exit = Exit::Program(words.to_vec());
    let answer = ask(&exit, b"\n", Instant::now() + LONG).expect("an answer");
    drop(left);
    assert_eq!(String::from_utf8_lossy(&answer), "0, 1, 2, 3");
}

#[test]
fn a_server_reads_a_line_and_answers_by_one() {
    let (_directory, exit) = server(|mut stream| {
        let mut line = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
        reader.read_line(&mut line).expect("a question");
        stream
            .write_all(format!("you said {line}").as_bytes())
            .expect("sent");
        // It need not close.
        let _ = reader.read_line(&mut line);
    });
    let answer = ask(&exit, b"hello\n", Instant::now() + LONG);
    assert_eq!(answer, Ok(b"you said hello".to_vec()));
}

#[test]
fn a_server_that_says_too_much_too_little_or_nothing_has_not_answered() {
    let answers: [(&'static [u8], Fault); 4] = [
        (b"", Fault::Garbage),
        (b"\n", Fault::Garbage),
        (b"yes\nand more\n", Fault::Garbage),
        (&[b'x'; 5000], Fault::TooLong),
    ];
    for (bytes, fault) in answers {
        let (_directory, exit) = server(move |mut stream| {
            // What is not read is answered by a reset.
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
            reader.read_line(&mut line).expect("a question");
            let _ = stream.write_all(bytes);
        });
        assert_eq!(ask(&exit, b"q\n", Instant::now() + LONG), Err(fault));
    }
    let (_directory, path) = place();
    let nobody = Exit::Socket(path.display().to_string());
    assert_eq!(
        ask(&nobody, b"q\n", Instant::now() + LONG),
        Err(Fault::Unreachable)
    );
}

#[test]
fn a_server_that_is_silent_or_takes_nobody_is_given_up_in_time() {
    let short = Duration::from_millis(200);
    let (give_up, given_up) = mpsc::channel::<()>();
    let (_directory, exit) = server(move |stream| {
        let _ = given_up.recv();
        drop(stream);
    });
    assert_eq!(
        ask(&exit, b"q\n", Instant::now() + short),
        Err(Fault::TimedOut)
    );
    drop(give_up);

    let (_directory, path) = place();
    let address = socket2::SockAddr::unix(&path).expect("an address");
    let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let full = full.expect("a socket");
    full.bind(&address).expect("bound");
    full.listen(0).expect("listens");
    let waiting = std::os::unix::net::UnixStream::connect(&path).expect("the only place");
    let exit = Exit::Socket(path.display().to_string());
    assert_eq!(
        ask(&exit, b"q\n", Instant::now() + short),
        Err(Fault::TimedOut)
    );
    drop(waiting);
}

#[test]
fn no_more_than_so_many_are_asked_at_once_and_the_others_wait_for_their_time() {
    let (directory, path) = place();
    let listener = UnixListener::bind(&path).expect("bound");
    let pool = Pool::default();
    let (tell, told) = mpsc::channel();
    let put = |timeout: Duration| {
        let tell = tell.clone();
        pool.put(Job {
            exit: Exit::Socket(path.display().to_string()),
            question: b"q\n".to_vec(),
            until: Instant::now() + timeout,
            answer: Box::new(move |outcome| tell.send(outcome).expect("heard")),
        });
    };
    (0..MOST_AT_ONCE).for_each(|_| put(LONG));
    let held: Vec<_> = (0..MOST_AT_ONCE)
        .map(|_| listener.accept().expect("one that is asked").0)
        .collect();
    // All are being asked; this one's time is over before any is done.
    put(Duration::ZERO);
    put(LONG);
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "one more than may be");
    listener.set_nonblocking(false).expect("set");
    // Whoever closes before he was asked tells nothing.
    let answer = |mut stream: std::os::unix::net::UnixStream| {
        let mut question = [0; 2];
        stream.read_exact(&mut question).expect("asked");
        stream.write_all(b"done\n").expect("sent");
    };
    held.into_iter().for_each(answer);
    answer(listener.accept().expect("the one that waited").0);
    let outcomes: Vec<_> = (0..MOST_AT_ONCE + 2)
        .map(|_| told.recv_timeout(LONG).expect("an outcome"))
        .collect();
    let busy = outcomes.iter().filter(|one| **one == Err(Fault::Busy));
    assert_eq!(busy.count(), 1);
    let done = outcomes.iter().filter(|one| **one == Ok(b"done".to_vec()));
    assert_eq!(done.count(), MOST_AT_ONCE + 1);
    drop(directory);
}

#[test]
fn more_than_can_wait_are_turned_away_at_once() {
    let (_directory, path) = place();
    let _listener = UnixListener::bind(&path).expect("bound");
    let pool = Pool::default();
    let (tell, told) = mpsc::channel();
    for _ in 0..MOST_AT_ONCE + MOST_WAITING + 1 {
        let tell = tell.clone();
        pool.put(Job {
            exit: Exit::Socket(path.display().to_string()),
            question: b"q\n".to_vec(),
            until: Instant::now() + LONG,
            answer: Box::new(move |outcome| {
                let _ = tell.send(outcome);
            }),
        });
    }
    assert_eq!(told.recv_timeout(LONG), Ok(Err(Fault::Busy)));
}
