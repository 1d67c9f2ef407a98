//! The rule files that come with the program, before real servers and with real clients: curl and lftp against vsftpd and
//! ProFTPD, as a named user and as an anonymous one, who gets the named one's account.
//!
//! What is denied must fail at the client, stand in the journal with its rule, and never come to the server's log. Windows, IBM i
//! and mainframes are not here: their rules are shown by transcripts. Needs root and the programs that `scripts/test` installs.

mod listed;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use portcullis_netlab::journal::{self, Record};
use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Daemon, Failure, Family, Lab, Node, Server, ServerKind, program};

const SERVERS: [ServerKind; 2] = [ServerKind::Vsftpd, ServerKind::Proftpd];
/// How the shipped `business-hours` writes its hours, once for each of its rules.
const SHIPPED_HOURS: &str = r#"days: [mon, tue, wed, thu, fri], hours: ["08:00-18:00"]"#;
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client is asked to do, by the same name on all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    List,
    Get,
    GetHome,
    Put,
    PutHome,
    PutProgram,
    Delete,
    Chmod,
}

impl Action {
    /// The verb by which the server does it, and the path.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Action::List => ("LIST", "/pub/"),
            Action::Get => ("RETR", "/pub/file"),
            Action::GetHome => ("RETR", "/home/weaver/file"),
            Action::Put => ("STOR", "/pub/new"),
            Action::PutHome => ("STOR", "/home/weaver/new"),
            Action::PutProgram => ("STOR", "/pub/new.exe"),
            Action::Delete => ("DELE", "/pub/victim"),
            Action::Chmod => ("SITE", "/pub/file"),
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Named,
    Anonymous,
}

use Action::{Chmod, Delete, Get, GetHome, List, Put, PutHome, PutProgram};

/// A rule file, and what a named and an anonymous user may do; everything else they may not.
const FILES: [(&str, &[Action], &[Action]); 10] = [
    (
        "everything-but-dangerous",
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
    ),
    (
        "anonymous-read-only",
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
        &[List, Get, GetHome],
    ),
    (
        "download-only",
        &[List, Get, GetHome],
        &[List, Get, GetHome],
    ),
    (
        "upload-drop-box",
        &[Put, PutHome, PutProgram],
        &[Put, PutHome, PutProgram],
    ),
    ("jail-to-home", &[GetHome, PutHome], &[]),
    (
        "legacy-strict",
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
    ),
    (
        "cisco-strict",
        &[List, Get, GetHome, Put, PutHome, Delete],
        &[List, Get, GetHome, Put, PutHome],
    ),
    // Copies of `business-hours` with other hours: see `HOURS`.
    (
        "within-hours",
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
        &[List, Get, GetHome, Put, PutHome, PutProgram, Delete],
    ),
    (
        "logged-in-after-hours",
        &[List, Get, GetHome],
        &[List, Get, GetHome],
    ),
    ("after-hours", &[], &[]),
];

/// Copies of `business-hours`, and whether their logins and their changes are possible now.
const HOURS: [(&str, [bool; 2]); 3] = [
    ("within-hours", [true, true]),
    ("logged-in-after-hours", [true, false]),
    ("after-hours", [false, false]),
];

const ALL: [Action; 8] = [List, Get, GetHome, Put, PutHome, PutProgram, Delete, Chmod];

#[test]
fn the_shipped_rules_hold_before_real_servers_with_real_clients() {
    let site = Site::new().unwrap();
    let mut done = 0;
    for (file, named, anonymous) in FILES {
        let gateway = site.start(file).unwrap();
        for server in &site.servers {
            for (who, may) in [(Who::Named, named), (Who::Anonymous, anonymous)] {
                for client in ["curl", "lftp"] {
                    for action in ALL {
                        let wanted = may.contains(&action);
                        let asked = Asked {
                            server,
                            who,
                            client,
                            action,
                        };
                        if let Err(why) = site.try_one(file, &asked, wanted) {
                            panic!(
                                "{file}: {client}, {who:?}, {action:?} at {}: {why}\n--- gateway\n{}\n--- journal\n{}",
                                server.kind().name(),
                                gateway.printed(),
                                site.journal_text(file)
                            );
                        }
                        done += 1;
                    }
                }
            }
        }
        let status = gateway.stop(PATIENCE).unwrap();
        assert!(status.success(), "{status}");
        journal::balanced_pinholes(&site.journal(file)).unwrap();
    }
    println!("{done} requests of real clients were judged as the rule files say");
}

struct Asked<'a> {
    server: &'a Server,
    who: Who,
    client: &'static str,
    action: Action,
}

/// The laboratory with its servers.
struct Site {
    lab: Lab,
    servers: Vec<Server>,
}

impl Site {
    fn new() -> Result<Site, Failure> {
        let lab = Lab::new(&[Node::Client, Node::Server])?;
        let servers = SERVERS.map(|kind| Server::start(&lab, kind));
        let servers: Vec<Server> = servers.into_iter().collect::<Result<_, _>>()?;
        let password = lab.directory().join("guest.password");
        fs::write(&password, PASSWORD).map_err(|error| error.to_string())?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))
            .map_err(|error| error.to_string())?;
        fs::write(lab.directory().join("local"), "sent by a client\n")
            .map_err(|error| error.to_string())?;
        Ok(Site { lab, servers })
    }

    fn journal_path(&self, file: &str) -> std::path::PathBuf {
        self.lab.directory().join(format!("{file}.jsonl"))
    }

    fn journal_text(&self, file: &str) -> String {
        fs::read_to_string(self.journal_path(file)).unwrap_or_default()
    }

    /// The journal's whole lines so far.
    fn journal(&self, file: &str) -> Vec<Record> {
        let text = self.journal_text(file);
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        journal::read(whole).unwrap()
    }

    /// What the journal says of the sessions since then, as soon as all of them are closed there.
    fn sessions_since(&self, file: &str, seen: usize) -> Result<Vec<Record>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let records: Vec<Record> = self.journal(file).into_iter().skip(seen).collect();
            let sessions = |name: &str| -> BTreeSet<String> {
                let named = records
                    .iter()
                    .filter(|record| journal::event(record) == name);
                named
                    .filter_map(|record| Some(record.get("session")?.as_str()?.to_owned()))
                    .collect()
            };
            // The request before may still be closing.
            let (opened, closed) = (sessions("session.opened"), sessions("session.closed"));
            if !opened.is_empty() && opened.is_subset(&closed) {
                return Ok(records);
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the journal opens the sessions {opened:?} and closes {closed:?}"
                ));
            }
            // A file can't be awaited.
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts a gateway whose rules are this file, and behind it the one that is the default.
    fn start(&self, file: &str) -> Result<Daemon, Failure> {
        let files = match file {
            "everything-but-dangerous" => file.to_owned(),
            file => format!("{}, everything-but-dangerous", self.rule_file(file)?),
        };
        self.start_with(file, &files, "")
    }

    /// Starts a gateway with these rules, and what a test wants besides.
    fn start_with(&self, file: &str, files: &str, more: &str) -> Result<Daemon, Failure> {
        let directory = self.lab.directory();
        let mut listeners = String::new();
        let mut upstreams = String::new();
        let mut ports = Vec::new();
        for server in &self.servers {
            let (name, port) = (server.kind().name(), server.kind().port());
            let listen = SocketAddr::new(Node::Gateway.address(Family::V4), port);
            let upstream = SocketAddr::new(Node::Server.address(Family::V4), port);
            listeners.push_str(&format!(
                "  {name}: {{listen: [\"{listen}\"], upstream: {name}}}\n"
            ));
            upstreams.push_str(&format!(
                "  {name}:\n    addresses: [\"{upstream}\"]\n    anonymous: {{login_as: {USER}, password_file: {}, start_in: /}}\n",
                directory.join("guest.password").display()
            ));
            ports.push(port);
        }
        let text = format!(
            "version: 1\nlisteners:\n{listeners}upstreams:\n{upstreams}rules: {{files: [{files}]}}\njournal: {{file: {}}}\n\
             control: {{socket: none}}\nlimits: {{connects_per_address: 10000/s, commands: 100000/s}}\n{more}\n",
            self.journal_path(file).display()
        );
        let path = directory.join(format!("{file}.yaml"));
        fs::write(&path, text).map_err(|error| error.to_string())?;
        let mut command = self
            .lab
            .command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
        command.args(["run", "--config"]).arg(&path);
        let output = directory.join(format!("{file}.output"));
        let mut daemon = Daemon::start("portcullis", &mut command, &output)?;
        daemon.wait_for_ports(&ports, PATIENCE)?;
        Ok(daemon)
    }

    /// The name of a shipped file, or the path of a copy of `business-hours` that is written here.
    fn rule_file(&self, file: &str) -> Result<String, Failure> {
        let Some((_, now)) = HOURS.iter().find(|(name, _)| *name == file) else {
            return Ok(file.to_owned());
        };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/business-hours.yaml");
        let text = fs::read_to_string(shipped).map_err(|error| error.to_string())?;
        // The examples are about the shipped hours.
        let (rules, _) = text.split_once("examples:").ok_or("no examples")?;
        let mut parts = rules.split(SHIPPED_HOURS);
        let mut copy = parts.next().unwrap_or_default().to_owned();
        for possible in now {
            let rest = parts.next().ok_or("the shipped hours have changed")?;
            copy.push_str(&match possible {
                true => r#"hours: ["00:00-24:00"]"#.to_owned(),
                false => format!("days: [{}]", distant_day()),
            });
            copy.push_str(rest);
        }
        let path = self.lab.directory().join(format!("{file}-rules.yaml"));
        fs::write(&path, copy).map_err(|error| error.to_string())?;
        Ok(path.display().to_string())
    }

    /// Puts the server's files as each request expects them.
    fn lay_out(&self, server: &Server) -> Result<(), Failure> {
        let home = server.home();
        let write = || -> std::io::Result<()> {
            for directory in ["pub", "home/weaver"] {
                let directory = home.join(directory);
                let _ = fs::remove_dir_all(&directory);
                fs::create_dir_all(&directory)?;
                fs::write(directory.join("file"), "kept by the server\n")?;
            }
            fs::write(home.join("pub/victim"), "to be deleted\n")
        };
        write().map_err(|error| error.to_string())?;
        server.give_to_account(&home.join("pub"))?;
        server.give_to_account(&home.join("home"))
    }

    /// Has a client ask; says what was otherwise than wanted.
    fn try_one(&self, file: &str, asked: &Asked<'_>, wanted: bool) -> Result<(), Failure> {
        let server = asked.server;
        self.lay_out(server)?;
        let got = self.lab.directory().join("got");
        let _ = fs::remove_file(&got);
        let logged = server.log_length();
        let seen = self.journal(file).len();
        let output = self.run(asked, &got)?;
        let printed = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        if output.status.success() != wanted {
            return Err(format!(
                "the client ended with {}:\n{printed}",
                output.status
            ));
        }
        let (verb, path) = asked.action.parts();
        let place = server.home().join(path.trim_start_matches('/'));
        let done = match asked.action {
            List => printed.contains("victim"),
            Get | GetHome => fs::read(&got).is_ok_and(|text| text == b"kept by the server\n"),
            Put | PutHome | PutProgram => {
                fs::read(&place).is_ok_and(|text| text == b"sent by a client\n")
            }
            Delete => !place.exists(),
            Chmod => mode(&place) == Some(0o600),
        };
        if done != wanted {
            return Err(format!(
                "it was {}done:\n{printed}",
                if done { "" } else { "not " }
            ));
        }
        if wanted {
            return Ok(());
        }
        let records = self.sessions_since(file, seen)?;
        if !records
            .iter()
            .any(|record| journal::event(record) == "command.denied")
        {
            return Err(format!("no rule is in the journal:\n{printed}"));
        }
        // The verb may not even have been tried, when the directory was refused before it.
        let verbs = server.verbs_since(logged);
        match verbs.iter().any(|seen| seen == verb) {
            true => Err(format!("the server saw it: {verbs:?}")),
            false => Ok(()),
        }
    }

    fn run(&self, asked: &Asked<'_>, got: &Path) -> Result<Output, Failure> {
        let (user, password) = match asked.who {
            Who::Named => (USER, PASSWORD),
            Who::Anonymous => ("anonymous", "guest@example.org"),
        };
        let host = Node::Gateway.address(Family::V4);
        let port = asked.server.kind().port();
        let (_, path) = asked.action.parts();
        let (got, local) = (got.display(), self.lab.directory().join("local"));
        let local = local.display();
        let arguments: Vec<String> = match asked.client {
            "curl" => {
                // The whole path in one command, so that no directory above it is named.
                let begin =
                    format!("-q -sS --max-time 15 --ftp-method nocwd --user {user}:{password}");
                let root = format!("ftp://{host}:{port}/");
                let rest = match asked.action {
                    List => format!("ftp://{host}:{port}/{path}"),
                    Get | GetHome => format!("-o {got} ftp://{host}:{port}/{path}"),
                    Put | PutHome | PutProgram => format!("-T {local} ftp://{host}:{port}/{path}"),
                    Delete => {
                        return self
                            .client("curl", &curl_quote(&begin, &format!("DELE {path}"), &root));
                    }
                    Chmod => {
                        return self.client(
                            "curl",
                            &curl_quote(&begin, &format!("SITE CHMOD 600 {path}"), &root),
                        );
                    }
                };
                format!("{begin} {rest}")
                    .split(' ')
                    .map(str::to_owned)
                    .collect()
            }
            _ => {
                let action = match asked.action {
                    List => format!("cls -1 {path}"),
                    Get | GetHome => format!("get {path} -o {got}"),
                    Put | PutHome | PutProgram => format!("put {local} -o {path}"),
                    Delete => format!("rm {path}"),
                    Chmod => format!("chmod 600 {path}"),
                };
                let script = format!(
                    "set net:max-retries 1; set net:timeout 15; set ftp:ssl-allow no; set cmd:fail-exit yes; \
                     set ftp:use-mdtm no; open -u {user},{password} -p {port} ftp://{host}; {action}"
                );
                vec!["--norc".to_owned(), "-c".to_owned(), script]
            }
        };
        self.client(asked.client, &arguments)
    }

    fn client(&self, name: &str, arguments: &[String]) -> Result<Output, Failure> {
        let program = program::find(name)?;
        let mut command = self.lab.command(Node::Client, "timeout");
        command
            .args(["--kill-after=5", "30"])
            .arg(program)
            .args(arguments);
        command
            .env("HOME", self.lab.directory())
            .env("LC_ALL", "C.UTF-8");
        command.output().map_err(|error| error.to_string())
    }
}

/// Sends a command after the login and lists nothing: the URL is not fetched.
fn curl_quote(begin: &str, command: &str, root: &str) -> Vec<String> {
    let mut arguments: Vec<String> = begin.split(' ').map(str::to_owned).collect();
    arguments.extend(["-Q", command, "--head", root].map(str::to_owned));
    arguments
}

/// A day of the week that is not today in any time zone, nor soon.
fn distant_day() -> &'static str {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let days = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    // The first day of that clock was a Thursday.
    let today = usize::try_from(since.as_secs() / 86_400 % 7).unwrap_or_default();
    days[(today + 3) % 7]
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}
