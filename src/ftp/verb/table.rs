//! One line for each verb; everything that needs the list is made from it.

/// The longest name in the table, in bytes: a name is compared as one integer.
const LONGEST: usize = 8;

macro_rules! verbs {
    ($($(#[$doc:meta])+ $variant:ident $name:literal,)+) => {
        /// Names what a command asks for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $($(#[$doc])+ $variant,)+
            /// Any verb that is not in this list.
            Unknown,
        }

        impl Verb {
            /// Every verb but [`Verb::Unknown`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Gives the verb in upper case, as it is sent; `UNKNOWN` for [`Verb::Unknown`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown => "UNKNOWN",
                }
            }
        }
    };
}

verbs! {
    /// User name (RFC 959 4.1.1).
    User "USER",
    /// Password (RFC 959 4.1.1).
    Pass "PASS",
    /// Account (RFC 959 4.1.1).
    Acct "ACCT",
    /// Change working directory (RFC 959 4.1.1).
    Cwd "CWD",
    /// Change to the parent directory (RFC 959 4.1.1).
    Cdup "CDUP",
    /// Structure mount (RFC 959 4.1.1).
    Smnt "SMNT",
    /// Begin anew without closing the connection (RFC 959 4.1.1).
    Rein "REIN",
    /// Log out (RFC 959 4.1.1).
    Quit "QUIT",
    /// The client awaits the data connection at an IPv4 address (RFC 959 4.1.2).
    Port "PORT",
    /// The server awaits the data connection at an IPv4 address (RFC 959 4.1.2).
    Pasv "PASV",
    /// Representation type (RFC 959 4.1.2).
    Type "TYPE",
    /// File structure (RFC 959 4.1.2).
    Stru "STRU",
    /// Transfer mode (RFC 959 4.1.2).
    Mode "MODE",
    /// Download (RFC 959 4.1.3).
    Retr "RETR",
    /// Upload (RFC 959 4.1.3).
    Stor "STOR",
    /// Upload under a name of the server's choice (RFC 959 4.1.3).
    Stou "STOU",
    /// Append to a file (RFC 959 4.1.3).
    Appe "APPE",
    /// Announce the size of an upload (RFC 959 4.1.3).
    Allo "ALLO",
    /// Begin the next transfer in the middle (RFC 959 4.1.3, RFC 3659 5).
    Rest "REST",
    /// Rename: the old name (RFC 959 4.1.3).
    Rnfr "RNFR",
    /// Rename: the new name (RFC 959 4.1.3).
    Rnto "RNTO",
    /// Break off the transfer (RFC 959 4.1.3).
    Abor "ABOR",
    /// Delete a file (RFC 959 4.1.3).
    Dele "DELE",
    /// Remove a directory (RFC 959 4.1.3).
    Rmd "RMD",
    /// Make a directory (RFC 959 4.1.3).
    Mkd "MKD",
    /// Print the working directory (RFC 959 4.1.3).
    Pwd "PWD",
    /// List a directory for people (RFC 959 4.1.3).
    List "LIST",
    /// List a directory's names (RFC 959 4.1.3).
    Nlst "NLST",
    /// A server's own commands (RFC 959 4.1.3).
    Site "SITE",
    /// The server's operating system (RFC 959 4.1.3).
    Syst "SYST",
    /// Status, or a listing in the reply (RFC 959 4.1.3).
    Stat "STAT",
    /// Help (RFC 959 4.1.3).
    Help "HELP",
    /// Nothing (RFC 959 4.1.3).
    Noop "NOOP",
    /// The older MKD (RFC 775, RFC 1123 4.1.3.1).
    Xmkd "XMKD",
    /// The older RMD (RFC 775, RFC 1123 4.1.3.1).
    Xrmd "XRMD",
    /// The older PWD (RFC 775, RFC 1123 4.1.3.1).
    Xpwd "XPWD",
    /// The older CDUP (RFC 775, RFC 1123 4.1.3.1).
    Xcup "XCUP",
    /// The older CWD (RFC 775, RFC 1123 4.1.3.1).
    Xcwd "XCWD",
    /// The older PORT for addresses of any length (RFC 1545, RFC 1639).
    Lprt "LPRT",
    /// The older PASV for addresses of any length (RFC 1545, RFC 1639).
    Lpsv "LPSV",
    /// Choose a security mechanism (RFC 2228 3, RFC 4217 4).
    Auth "AUTH",
    /// Security data (RFC 2228 3).
    Adat "ADAT",
    /// Protection of data connections (RFC 2228 3, RFC 4217 9).
    Prot "PROT",
    /// Size of protection buffers (RFC 2228 3, RFC 4217 8).
    Pbsz "PBSZ",
    /// Leave TLS on the control connection (RFC 2228 3, RFC 4217 6).
    Ccc "CCC",
    /// A command under integrity protection (RFC 2228 3).
    Mic "MIC",
    /// A command under confidentiality protection (RFC 2228 3).
    Conf "CONF",
    /// A command under privacy protection (RFC 2228 3).
    Enc "ENC",
    /// List of features (RFC 2389 3).
    Feat "FEAT",
    /// Options of a command (RFC 2389 4).
    Opts "OPTS",
    /// The client awaits the data connection, any address family (RFC 2428 2).
    Eprt "EPRT",
    /// The server awaits the data connection, any address family (RFC 2428 3).
    Epsv "EPSV",
    /// Language of replies (RFC 2640 4).
    Lang "LANG",
    /// Time of a file's last change (RFC 3659 3).
    Mdtm "MDTM",
    /// Size of a file (RFC 3659 4).
    Size "SIZE",
    /// Facts about one file, in the reply (RFC 3659 7).
    Mlst "MLST",
    /// List a directory for programs (RFC 3659 7).
    Mlsd "MLSD",
    /// Choose a virtual host (RFC 7151 3).
    Host "HOST",
    /// Set the time of a file's last change (draft-somers-ftp-mfxx).
    Mfmt "MFMT",
    /// Set the time of a file's creation (draft-somers-ftp-mfxx).
    Mfct "MFCT",
    /// Set facts of a file (draft-somers-ftp-mfxx).
    Mff "MFF",
    /// The client's name (no RFC; many clients).
    Clnt "CLNT",
    /// The client's and the server's names (draft-peterson-streamlined-ftp-command-extensions).
    Csid "CSID",
    /// Free space (draft-peterson-streamlined-ftp-command-extensions).
    Avbl "AVBL",
    /// Size of a directory (draft-peterson-streamlined-ftp-command-extensions).
    Dsiz "DSIZ",
    /// A small picture of a file (draft-peterson-streamlined-ftp-command-extensions).
    Thmb "THMB",
    /// Join files (draft-peterson-streamlined-ftp-command-extensions).
    Comb "COMB",
    /// Remove a directory with all that is in it (no RFC; IIS and others).
    Rmda "RMDA",
    /// Checksum of a file (draft-bryan-ftpext-hash).
    Hash "HASH",
    /// CRC-32 of a file (no RFC).
    Xcrc "XCRC",
    /// MD5 of a file (no RFC).
    Xmd5 "XMD5",
    /// MD5 of a file (draft-twine-ftpmd5).
    Md5 "MD5",
    /// SHA-1 of a file (no RFC).
    Xsha "XSHA",
    /// SHA-1 of a file (no RFC).
    Xsha1 "XSHA1",
    /// SHA-256 of a file (no RFC).
    Xsha256 "XSHA256",
    /// SHA-512 of a file (no RFC).
    Xsha512 "XSHA512",
    /// Tell the firewall in between to look away (no RFC; some firewalls and clients).
    Algs "ALGS",
    /// Another spelling of PASV (no RFC; vsftpd).
    PAtSw "P@SW",
    /// PASV that announces a port only (no RFC; Pure-FTPd).
    Spsv "SPSV",
    /// Extended active mode (no RFC; Pure-FTPd).
    Esta "ESTA",
    /// Extended passive mode (no RFC; Pure-FTPd).
    Estp "ESTP",
    /// PASV with the TLS roles swapped (no RFC; servers for site-to-site transfers).
    Cpsv "CPSV",
    /// Swaps the TLS roles of data connections (no RFC; servers for site-to-site transfers).
    Sscn "SSCN",
    /// Announces the next transfer before PASV (no RFC; distributed servers).
    Pret "PRET",
    /// Run a command of the system (IBM i).
    Rcmd "RCMD",
    /// Add a file member (IBM i).
    Addm "ADDM",
    /// Add a file member of variable length (IBM i).
    Addv "ADDV",
    /// One of the system's own commands to add objects (IBM i).
    Addc "ADDC",
    /// One of the system's own commands to add objects (IBM i).
    Addl "ADDL",
    /// Create a library (IBM i).
    Crtl "CRTL",
    /// Create a physical file (IBM i).
    Crtp "CRTP",
    /// Create a source file (IBM i).
    Crts "CRTS",
    /// Delete a file (IBM i).
    Dltf "DLTF",
    /// Delete a library (IBM i).
    Dltl "DLTL",
    /// Trace the server (IBM i).
    Dbug "DBUG",
    /// Set the server's time-outs (IBM i).
    Time "TIME",
    /// HTTP's word (RFC 9110 9.3), never FTP's.
    Get "GET",
    /// HTTP's word (RFC 9110 9.3), never FTP's.
    Post "POST",
    /// HTTP's word (RFC 9110 9.3), never FTP's.
    Put "PUT",
    /// HTTP's word (RFC 9110 9.3), never FTP's.
    Head "HEAD",
    /// HTTP's word (RFC 9110 9.3), never FTP's.
    Options "OPTIONS",
    /// HTTP's word (RFC 9110 9.3), never FTP's.
    Connect "CONNECT",
    /// SMTP's word (RFC 5321 4.1.1.1), never FTP's.
    Ehlo "EHLO",
    /// SMTP's word (RFC 5321 4.1.1.1), never FTP's.
    Helo "HELO",
}

impl Verb {
    /// Recognises a verb in any case; what is not a known one is [`Verb::Unknown`].
    #[must_use]
    pub fn parse(word: &[u8]) -> Self {
        if word.len() > LONGEST || word.contains(&0) {
            return Self::Unknown;
        }
        let key = key(word);
        BY_KEY
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()
            .and_then(|at| BY_KEY.get(at))
            .map_or(Self::Unknown, |(_, verb)| *verb)
    }
}

static BY_KEY: [(u64, Verb); Verb::ALL.len()] = sorted();

/// Packs at most eight bytes, in upper case, into an integer that no other name has.
const fn key(mut word: &[u8]) -> u64 {
    let mut key = 0;
    while let [first, rest @ ..] = word {
        key = key << 8 | first.to_ascii_uppercase() as u64;
        word = rest;
    }
    key
}

const fn sorted() -> [(u64, Verb); Verb::ALL.len()] {
    let mut table = [(0, Verb::Unknown); Verb::ALL.len()];
    let mut filled = 0;
    while filled < table.len() {
        let verb = Verb::ALL[filled];
        let name = verb.name().as_bytes();
        assert!(name.len() <= LONGEST, "a longer name needs a larger key");
        table[filled] = (key(name), verb);
        let mut at = filled;
        while at > 0 && table[at - 1].0 >= table[at].0 {
            assert!(table[at - 1].0 != table[at].0, "two verbs with one name");
            let swapped = table[at];
            table[at] = table[at - 1];
            table[at - 1] = swapped;
            at -= 1;
        }
        filled += 1;
    }
    table
}
