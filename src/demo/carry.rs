//! The demo server's transfer commands: LIST, NLST, MLSD, RETR, STOR, APPE and STOU.

use std::io;

use jiff::Timestamp;
use tokio::net::TcpStream;

use super::files::without_options;
use super::listing;
use super::path::TreePath;
use super::session::{Attended, Session};
use super::store::{Content, Node, StoreFault};
use super::transfer::{self, Payload, Plan};

impl Session {
    pub(super) async fn list(&mut self, argument: &[u8]) -> io::Result<()> {
        let Some((plan, path)) = self.plan_for_listing(without_options(argument)).await? else {
            return Ok(());
        };
        match self.long_lines(&path) {
            Ok(lines) => self.send_lines(plan, lines).await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn list_names(&mut self, argument: &[u8]) -> io::Result<()> {
        let name = without_options(argument);
        let Some((plan, path)) = self.plan_for_listing(name).await? else {
            return Ok(());
        };
        let children = match self.store.children(&path) {
            Ok(children) => children,
            Err(StoreFault::NotDirectory) => return self.send_lines(plan, [name.to_vec()]).await,
            Err(fault) => return self.refuse(fault).await,
        };
        // The names are to be usable as they stand (RFC 1123, section 4.1.2.7), so a directory that was named is
        // named again.
        let mut before = name.to_vec();
        if before.last().is_some_and(|byte| *byte != b'/') {
            before.push(b'/');
        }
        let names = children
            .into_iter()
            .map(|(name, _)| [before.as_slice(), &name].concat());
        self.send_lines(plan, names).await
    }

    pub(super) async fn list_facts(&mut self, argument: &[u8]) -> io::Result<()> {
        let Some((plan, path)) = self.plan_for_listing(argument).await? else {
            return Ok(());
        };
        match self.store.children(&path) {
            Ok(children) => {
                let wanted = self.facts;
                let lines = children
                    .into_iter()
                    .map(|(name, entry)| listing::facts(&entry, &name, wanted));
                self.send_lines(plan, lines).await
            }
            // MLSD of a file is 501 (RFC 3659, section 7.2.1).
            Err(StoreFault::NotDirectory) => self.reply(501, "MLSD wants a directory.").await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn retrieve(&mut self, argument: &[u8]) -> io::Result<()> {
        let from = std::mem::take(&mut self.restart);
        let Some((plan, path)) = self.plan_for_file(argument).await? else {
            return Ok(());
        };
        let content = match self.store.read(&path) {
            Ok(content) => content,
            Err(fault) => return self.refuse(fault).await,
        };
        let size = content.bytes().len();
        if from > size {
            let text = format!("The file ends at {size}.");
            return self.reply(554, text).await;
        }
        let ascii = self.ascii;
        let payload = Payload::File {
            content,
            from,
            ascii,
        };
        let opening = format!("{} bytes are coming.", size - from);
        self.send_out(plan, payload, &opening).await
    }

    pub(super) async fn store(&mut self, argument: &[u8]) -> io::Result<()> {
        let from = std::mem::take(&mut self.restart);
        let Some((plan, path)) = self.plan_for_file(argument).await? else {
            return Ok(());
        };
        let mut content = self.store.draft();
        if from > 0 {
            let kept = match self.store.read(&path) {
                Ok(there) => match there.bytes().get(..from) {
                    Some(head) => content.push(head),
                    None => return self.reply(554, "The file is not that long.").await,
                },
                Err(fault) => Err(fault),
            };
            if let Err(fault) = kept {
                return self.refuse(fault).await;
            }
        }
        self.take_in(plan, path, content, "Send it.").await
    }

    pub(super) async fn append(&mut self, argument: &[u8]) -> io::Result<()> {
        self.restart = 0;
        let Some((plan, path)) = self.plan_for_file(argument).await? else {
            return Ok(());
        };
        let mut content = self.store.draft();
        let kept = match self.store.read(&path) {
            Ok(there) => content.push(there.bytes()),
            Err(StoreFault::Missing) => Ok(()),
            Err(fault) => Err(fault),
        };
        match kept {
            Ok(()) => self.take_in(plan, path, content, "Send the rest.").await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn store_unique(&mut self) -> io::Result<()> {
        self.restart = 0;
        let Some(plan) = self.plan_or_refuse().await? else {
            return Ok(());
        };
        let free = (1..).find_map(|number: u64| {
            let name = format!("upload-{number}");
            let path = self.directory.resolve(name.as_bytes())?;
            match self.store.look_up(&path) {
                Err(_) => Some((name, path)),
                Ok(_) => None,
            }
        });
        let Some((name, path)) = free else {
            return self.reply(450, "No name is free.").await;
        };
        let content = self.store.draft();
        // The form of this reply is fixed (RFC 1123, section 4.1.2.9).
        self.take_in(plan, path, content, &format!("FILE: {name}"))
            .await
    }

    /// The lines of LIST: what is inside a directory, or one file.
    pub(super) fn long_lines(&self, path: &TreePath) -> Result<Vec<Vec<u8>>, StoreFault> {
        let now = Timestamp::now();
        let entry = self.store.look_up(path)?;
        Ok(match &entry.node {
            Node::File(_) => vec![listing::long(&entry, path.name(), now)],
            Node::Directory => {
                let children = self.store.children(path)?;
                let lines = children.iter();
                lines
                    .map(|(name, entry)| listing::long(entry, name, now))
                    .collect()
            }
        })
    }

    async fn plan_for_listing(&mut self, name: &[u8]) -> io::Result<Option<(Plan, TreePath)>> {
        self.restart = 0;
        let Some(plan) = self.plan_or_refuse().await? else {
            return Ok(None);
        };
        Ok(self.here_or_named(name).await?.map(|path| (plan, path)))
    }

    async fn plan_for_file(&mut self, name: &[u8]) -> io::Result<Option<(Plan, TreePath)>> {
        let Some(plan) = self.plan_or_refuse().await? else {
            return Ok(None);
        };
        Ok(self.named(name).await?.map(|path| (plan, path)))
    }

    async fn plan_or_refuse(&mut self) -> io::Result<Option<Plan>> {
        let plan = self.plan.take();
        if plan.is_none() {
            self.reply(425, "Use PASV, EPSV, PORT or EPRT first.")
                .await?;
        }
        Ok(plan)
    }

    async fn send_lines(
        &mut self,
        plan: Plan,
        lines: impl IntoIterator<Item = Vec<u8>>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            text.extend_from_slice(&line);
            text.extend_from_slice(b"\r\n");
        }
        self.send_out(plan, Payload::Listing(text), "The listing is coming.")
            .await
    }

    async fn send_out(&mut self, plan: Plan, payload: Payload, opening: &str) -> io::Result<()> {
        let Some(stream) = self.open(plan, opening).await? else {
            return Ok(());
        };
        let sending = transfer::send(stream, payload, self.limits.stall);
        match self.attend(sending).await? {
            Attended::Done(Ok(bytes)) => self.reply(226, format!("{bytes} bytes sent.")).await,
            Attended::Done(Err(fault)) => self.reply(fault.code(), fault.to_string()).await,
            Attended::Aborted => self.broken_off().await,
        }
    }

    async fn take_in(
        &mut self,
        plan: Plan,
        path: TreePath,
        mut content: Content,
        opening: &str,
    ) -> io::Result<()> {
        if let Err(fault) = self.store.may_put(&path) {
            return self.refuse(fault).await;
        }
        let Some(stream) = self.open(plan, opening).await? else {
            return Ok(());
        };
        let receiving = transfer::receive(stream, &mut content, self.ascii, self.limits.stall);
        let ended = self.attend(receiving).await;
        // What came before a fault is kept, so that the client can resume.
        let put = self.store.put(path, content);
        match (ended?, put) {
            (Attended::Done(Ok(bytes)), Ok(())) => {
                self.reply(226, format!("{bytes} bytes received.")).await
            }
            (Attended::Done(Ok(_)), Err(fault)) => self.refuse(fault).await,
            (Attended::Done(Err(fault)), _) => self.reply(fault.code(), fault.to_string()).await,
            (Attended::Aborted, _) => self.broken_off().await,
        }
    }

    /// Makes the data connection and says 150: before it awaits the client, who may dial only then, but after it dialled
    /// the client itself, so that a failed dial is a plain 425.
    async fn open(&mut self, plan: Plan, opening: &str) -> io::Result<Option<TcpStream>> {
        let awaits = matches!(plan, Plan::Await { .. });
        if awaits {
            self.reply(150, opening).await?;
        }
        let connecting = transfer::connect(plan, self.limits.connect);
        match self.attend(connecting).await? {
            Attended::Done(Ok(stream)) => {
                if !awaits {
                    self.reply(150, opening).await?;
                }
                Ok(Some(stream))
            }
            Attended::Done(Err(_)) => {
                self.reply(425, "No data connection came to be.").await?;
                Ok(None)
            }
            Attended::Aborted => {
                self.broken_off().await?;
                Ok(None)
            }
        }
    }

    async fn broken_off(&mut self) -> io::Result<()> {
        self.reply(426, "Transfer broken off.").await?;
        self.reply(226, "ABOR done.").await
    }
}
