//! What somebody answers at an exit point: whatever comes, nothing of it reaches a peer that could be taken for more than it is.

use portcullis::engine::{Answer, AskFault, LONGEST_ANSWER};

/// An answer is read or refused, the same each time; at a command it grants nothing, and only a refusal has words, which are
/// one line that refuses.
pub fn answers(data: &[u8]) {
    let at_login = Answer::parse(data, true);
    let at_command = Answer::parse(data, false);
    assert_eq!(at_login, Answer::parse(data, true));
    match (&at_login, &at_command) {
        (Ok(login), Ok(command)) => {
            assert_eq!(login, command);
            assert_eq!(command.grant, None, "nothing is granted at a command");
        }
        (Ok(login), Err(why)) => {
            assert_eq!(*why, AskFault::Garbage);
            assert!(login.grant.is_some() && login.allows);
        }
        (Err(login), Err(command)) => assert_eq!(login, command),
        (Err(why), Ok(answer)) => panic!("{why:?} at a login, {answer:?} at a command"),
    }
    let Ok(answer) = at_login else { return };
    assert!(data.len() <= LONGEST_ANSWER && !data.contains(&b'\n'));
    if let Some(reply) = &answer.reply {
        assert!(!answer.allows, "words of a permission");
        let code = reply.code().get();
        assert!((400..600).contains(&code) && code != 421, "{code}");
        let bytes = reply.emit();
        let line = bytes.strip_suffix(b"\r\n").expect("a line");
        assert!(!line.iter().any(u8::is_ascii_control), "more than a line");
    }
    let grant = answer.grant.unwrap_or_default();
    let user = grant.login_as.map(|account| account.user);
    for told in [user, grant.start_in].into_iter().flatten() {
        assert!(!told.is_empty() && !told.chars().any(char::is_control));
    }
}
