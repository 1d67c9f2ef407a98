//! The demo server's commands about names: directories, renaming, sizes and times. No data connection is used here.

use std::io;

use super::listing;
use super::path::TreePath;
use super::session::Session;
use super::store::StoreFault;

impl Session {
    pub(super) async fn tell_directory(&mut self) -> io::Result<()> {
        let mut text = self.directory.quoted();
        text.extend_from_slice(b" is the directory.");
        self.reply(257, text).await
    }

    pub(super) async fn change_directory(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        match self.store.look_up(&path) {
            Ok(entry) if entry.is_directory() => {
                self.directory = path;
                self.reply(250, "Directory changed.").await
            }
            Ok(_) => self.refuse(StoreFault::NotDirectory).await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn make_directory(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        let mut text = path.quoted();
        match self.store.make_directory(path) {
            Ok(()) => {
                text.extend_from_slice(b" is made.");
                self.reply(257, text).await
            }
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn remove_directory(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        let removed = self.store.remove_directory(&path);
        self.conclude(removed, "Directory removed.").await
    }

    pub(super) async fn delete(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        let removed = self.store.remove_file(&path);
        self.conclude(removed, "File deleted.").await
    }

    pub(super) async fn rename_from(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        match self.store.look_up(&path) {
            Ok(_) => {
                self.renaming = Some(path);
                self.reply(350, "And what shall it be called?").await
            }
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn rename_to(
        &mut self,
        from: Option<TreePath>,
        name: &[u8],
    ) -> io::Result<()> {
        let Some(from) = from else {
            return self.reply(503, "RNFR comes just before RNTO.").await;
        };
        let Some(to) = self.named(name).await? else {
            return Ok(());
        };
        let renamed = self.store.rename(&from, &to);
        self.conclude(renamed, "Renamed.").await
    }

    pub(super) async fn size(&mut self, name: &[u8]) -> io::Result<()> {
        if self.ascii {
            return self
                .reply(550, "Sizes are told in TYPE I; in ASCII they depend.")
                .await;
        }
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        match self.store.read(&path) {
            Ok(content) => self.reply(213, content.bytes().len().to_string()).await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn modified(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.named(name).await? else {
            return Ok(());
        };
        match self.store.look_up(&path) {
            Ok(entry) if entry.is_directory() => self.refuse(StoreFault::IsDirectory).await,
            Ok(entry) => self.reply(213, listing::modified(&entry)).await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn tell_facts(&mut self, name: &[u8]) -> io::Result<()> {
        let Some(path) = self.here_or_named(name).await? else {
            return Ok(());
        };
        match self.store.look_up(&path) {
            Ok(entry) => {
                let line = listing::facts(&entry, &path.written(), self.facts);
                self.control.reply_lines(250, "Facts:", [line], "End").await
            }
            Err(fault) => self.refuse(fault).await,
        }
    }

    pub(super) async fn status(&mut self, name: &[u8]) -> io::Result<()> {
        if name.is_empty() {
            let lines = [
                format!("You come from {}.", self.control.peer()),
                format!("The type is {}.", if self.ascii { "A" } else { "I" }),
            ];
            return self
                .control
                .reply_lines(211, "Portcullis demo server", lines, "End")
                .await;
        }
        let Some(path) = self.named(without_options(name)).await? else {
            return Ok(());
        };
        match self.long_lines(&path) {
            Ok(lines) => {
                self.control
                    .reply_lines(213, "Listing:", lines, "End")
                    .await
            }
            Err(fault) => self.refuse(fault).await,
        }
    }

    /// Reads a name that must be there; a bad one has been answered when this is `None`.
    pub(super) async fn named(&mut self, name: &[u8]) -> io::Result<Option<TreePath>> {
        if name.is_empty() {
            self.reply(501, "A name is missing.").await?;
            return Ok(None);
        }
        self.here_or_named(name).await
    }

    /// Reads a name; none is the current directory.
    pub(super) async fn here_or_named(&mut self, name: &[u8]) -> io::Result<Option<TreePath>> {
        let path = self.directory.resolve(name);
        if path.is_none() {
            self.reply(553, "That name is too long or has odd characters.")
                .await?;
        }
        Ok(path)
    }

    pub(super) async fn refuse(&mut self, fault: StoreFault) -> io::Result<()> {
        let code = match fault {
            StoreFault::Full => 452,
            StoreFault::Missing
            | StoreFault::IsDirectory
            | StoreFault::NotDirectory
            | StoreFault::Taken
            | StoreFault::NotEmpty
            | StoreFault::Immovable => 550,
        };
        self.reply(code, fault.to_string()).await
    }

    async fn conclude(&mut self, result: Result<(), StoreFault>, text: &str) -> io::Result<()> {
        match result {
            Ok(()) => self.reply(250, text).await,
            Err(fault) => self.refuse(fault).await,
        }
    }
}

/// Takes options as of `ls` off the front of an argument: clients send `LIST -a`.
pub(super) fn without_options(argument: &[u8]) -> &[u8] {
    let mut rest = argument.trim_ascii_start();
    while rest.first() == Some(&b'-') {
        let end = rest.iter().position(|byte| *byte == b' ');
        let (_, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail.trim_ascii_start();
    }
    if rest.len() == argument.trim_ascii_start().len() {
        argument
    } else {
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::without_options;

    #[test]
    fn options_are_passed_over() {
        assert_eq!(without_options(b"-la"), b"");
        assert_eq!(without_options(b"-l -a dir x"), b"dir x");
        assert_eq!(without_options(b"dir -l"), b"dir -l");
        assert_eq!(without_options(b" leading"), b" leading");
    }
}
