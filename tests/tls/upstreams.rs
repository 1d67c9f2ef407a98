//! Upstreams that are to be spoken to over TLS: nothing but AUTH leaves in clear, whatever they do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use crate::PATIENCE;
use crate::client::{connect, line_of};
use crate::field::{Field, Files};

/// How an upstream answers AUTH.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Refuses it.
    No,
    /// Accepts it and says more in clear, in the same segment.
    YesAndMore,
    /// Accepts it and hangs up.
    YesAndGone,
    /// Accepts it and speaks no TLS.
    YesAndGarbage,
}

/// Serves connections; hands over all that was said on each.
fn serve(answer: Answer) -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let at = listener.local_addr().expect("an address").to_string();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut control in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let heard = converse(&mut control, answer);
                // The gateway also tries whether anybody is there, and says nothing. A test that is over does not listen.
                if !heard.is_empty() {
                    let _ = tell.send(heard);
                }
            });
        }
    });
    (at, told)
}

fn converse(control: &mut TcpStream, answer: Answer) -> Vec<u8> {
    control.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut heard = Vec::new();
    let says = |control: &mut TcpStream, words: &[u8]| {
        let _gone = control.write_all(words);
    };
    says(control, b"220 ready\r\n");
    let mut byte = [0];
    while !heard.ends_with(b"\n") && matches!(control.read(&mut byte), Ok(1)) {
        heard.extend(byte);
    }
    match answer {
        // Whatever is asked.
        Answer::No => {
            let mut more = [0; 512];
            says(control, b"502 no\r\n");
            while let Ok(got @ 1..) = control.read(&mut more) {
                heard.extend(&more[..got]);
                says(control, b"502 no\r\n");
            }
        }
        Answer::YesAndMore => {
            says(control, b"234 yes\r\n331 password\r\n");
            let _gone = control.read_to_end(&mut heard);
        }
        Answer::YesAndGone => {
            says(control, b"234 yes\r\n");
            let _gone = control.shutdown(std::net::Shutdown::Write);
            let _gone = control.read_to_end(&mut heard);
        }
        Answer::YesAndGarbage => {
            says(control, b"234 yes\r\n");
            // Behind the ClientHello, so that it is no part of the 234.
            let mut first = [0];
            let _gone = control
                .read(&mut first)
                .map(|got| heard.extend(&first[..got]));
            says(control, b"331 password\r\n");
            let _gone = control.read_to_end(&mut heard);
        }
    }
    heard
}

/// What is said to an upstream with this policy that answers so; the client is turned away.
fn said(policy: &str, answer: Answer) -> (Vec<u8>, Field) {
    let (at, told) = serve(answer);
    let upstream = format!(
        "addresses: [\"{at}\"], tls: {{mode: explicit, policy: {policy}, ca: none, pins: [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]}}"
    );
    let field = Field::before("mode: explicit", "", &upstream, Files::default());
    let mut client = connect(field.at);
    // It may be in a hurry.
    client
        .write_all(b"USER bob\r\nPASS secret\r\n")
        .expect("sent");
    let reply = line_of(&mut client);
    assert!(reply.starts_with("421 "), "{policy} {answer:?}: {reply}");
    let mut rest = Vec::new();
    let _reset = client.read_to_end(&mut rest);
    let heard = told.recv_timeout(PATIENCE).expect("the upstream's story");
    (heard, field)
}

/// What was said in clear: all before the first TLS record.
fn in_clear(heard: &[u8]) -> String {
    let clear: Vec<u8> = heard
        .iter()
        .copied()
        .take_while(|byte| *byte != 0x16)
        .collect();
    String::from_utf8(clear).expect("text")
}

#[test]
fn nothing_but_auth_leaves_in_clear_where_tls_is_required() {
    for answer in [
        Answer::No,
        Answer::YesAndMore,
        Answer::YesAndGone,
        Answer::YesAndGarbage,
    ] {
        let (heard, field) = said("require", answer);
        let clear = in_clear(&heard);
        assert!(
            clear.lines().all(|line| line.starts_with("AUTH ")) && !clear.is_empty(),
            "{answer:?}: {clear}\n{:#?}",
            field.journal_lines("session")
        );
    }
}

/// Where it is only preferred: after a yes there is no way back.
#[test]
fn a_handshake_that_failed_is_never_followed_by_words_in_clear() {
    for answer in [
        Answer::YesAndMore,
        Answer::YesAndGone,
        Answer::YesAndGarbage,
    ] {
        let (heard, field) = said("prefer", answer);
        assert_eq!(in_clear(&heard), "AUTH TLS\r\n", "{answer:?}");
        assert!(!heard.windows(4).any(|part| part == b"USER"), "{answer:?}");
        match answer {
            Answer::YesAndGarbage => field.journal_shows(&["tls.failed", "not_tls"]),
            Answer::YesAndGone => field.journal_shows(&["tls.failed", "upstream"]),
            Answer::No | Answer::YesAndMore => String::new(),
        };
    }
}
