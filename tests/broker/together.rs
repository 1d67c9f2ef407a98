//! Several requests in one message: what each is answered, and what no gateway sends.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use portcullis::nft::message::{
    Answer, MOST_TOGETHER, Reason, Request, SIZE, Together, emit_together, said_where, say_where,
};
use portcullis::nft::socket;
use portcullis::nft::{
    Client, Firewall as _, FirewallHole, FlowState, Granted, HoleKey, Settled, Settling, Wish,
};

use crate::PATIENCE;
use crate::bounds::passive;
use crate::fake::{PEER, Rig, next_page, usage};

fn hole(key: u64) -> FirewallHole {
    FirewallHole {
        key: HoleKey(key),
        opening: passive(),
        ttl: Duration::from_secs(32),
    }
}

fn opens(keys: impl IntoIterator<Item = u64>) -> Vec<Wish> {
    keys.into_iter().map(|key| Wish::Open(hole(key))).collect()
}

fn kind(answer: &io::Result<Granted>) -> Option<io::ErrorKind> {
    answer.as_ref().err().map(io::Error::kind)
}

#[test]
fn each_of_several_is_answered_as_if_it_had_come_alone() {
    let rig = Rig::start();
    let client = rig.client();
    let done = client.together(&opens(1..=4));
    assert!(done.iter().all(|one| matches!(one, Ok(Granted::Opened))));
    let used = [(1, FlowState::Open), (2, FlowState::Ending)];
    for (key, state) in used {
        rig.world.firewall().used.insert(HoleKey(key), state);
    }
    let mut long = hole(6);
    long.ttl = Duration::from_secs(3600);
    let done = client.together(&[
        Wish::Settle(HoleKey(1)),
        Wish::Open(hole(5)),
        Wish::Settle(HoleKey(2)),
        // Nobody has opened it.
        Wish::Settle(HoleKey(77)),
        // Beyond what the config allows.
        Wish::Open(long),
        // The name is taken; said twice; the top of a name is the broker's.
        Wish::Open(hole(3)),
        Wish::Open(hole(5)),
        Wish::Open(hole(1 << 48 | 9)),
        Wish::Settle(HoleKey(2)),
        Wish::Settle(HoleKey(4)),
    ]);
    let shut = |by, usage| Granted::Settled(Settling::Shut(Settled { by, usage }));
    let granted = |place: usize| *done[place].as_ref().expect("granted");
    let runs = Granted::Settled(Settling::Runs(usage(FlowState::Open)));
    assert_eq!(granted(0), runs);
    assert_eq!(granted(1), Granted::Opened);
    assert_eq!(granted(2), shut(Some(PEER), Some(usage(FlowState::Ending))));
    assert_eq!(kind(&done[3]), Some(io::ErrorKind::NotFound));
    assert_eq!(kind(&done[4]), Some(io::ErrorKind::PermissionDenied));
    for place in [5, 6, 7] {
        assert_eq!(kind(&done[place]), Some(io::ErrorKind::AlreadyExists));
    }
    assert_eq!(kind(&done[8]), Some(io::ErrorKind::NotFound));
    assert_eq!(granted(9), shut(None, None));
    assert_eq!(rig.world.firewall().closed, [HoleKey(2), HoleKey(4)]);
    let open: Vec<u64> = rig.world.firewall().open.keys().map(|key| key.0).collect();
    assert_eq!(open, [1, 3, 5]);
    // What was settled is known no more, what runs is.
    client.usage(HoleKey(2)).expect_err("settled");
    client.kill(HoleKey(1)).expect("it runs");
}

#[test]
fn one_that_the_kernel_refuses_takes_no_other_down() {
    let rig = Rig::start();
    let client = rig.client();
    rig.world.firewall().refusal = Some(28);
    let done = client.together(&opens(1..=3));
    let errno = done[0].as_ref().expect_err("refused").raw_os_error();
    assert_eq!(errno, Some(28));
    assert!(done[1..].iter().all(Result::is_ok));
    assert!(client.together(&opens([1]))[0].is_ok(), "the name is free");
}

/// A set that is full for one refuses that one, and of it nothing stays: neither in the firewall nor in the books, where ten may stand.
#[test]
fn one_that_finds_the_set_full_is_refused_and_the_others_open() {
    let rig = Rig::start();
    let client = rig.client();
    rig.world.firewall().room = Some(3);
    let done = client.together(&opens(1..=4));
    assert!(done[..3].iter().all(Result::is_ok), "{done:?}");
    assert_eq!(kind(&done[3]), Some(io::ErrorKind::StorageFull));
    let standing = || -> Vec<u64> {
        let firewall = rig.world.firewall();
        firewall.open.keys().map(|key| key.0).collect()
    };
    assert_eq!(standing(), [1, 2, 3]);
    client.settle(HoleKey(4)).expect_err("it never opened");
    assert!(rig.world.firewall().closed.is_empty());
    rig.world.firewall().room = None;
    let done = client.together(&opens(4..=10));
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(standing().len(), 10);
}

/// Ten may stand; the envelope's bound holds for what comes together as for what comes one by one.
#[test]
fn together_no_more_stand_than_may() {
    let rig = Rig::start();
    let client = rig.client();
    // More than travel together.
    let done = client.together(&opens(1..=20));
    let refused = done.iter().filter(|one| one.is_err()).count();
    assert_eq!(refused, 10);
    assert!(
        done[10..]
            .iter()
            .all(|one| kind(one) == Some(io::ErrorKind::StorageFull))
    );
    assert_eq!(rig.world.firewall().open.len(), 10);
    // One that is shut in the same message makes room.
    let done = client.together(&[
        Wish::Open(hole(30)),
        Wish::Settle(HoleKey(1)),
        Wish::Open(hole(31)),
    ]);
    assert!(done[0].is_ok() && done[1].is_ok());
    assert_eq!(kind(&done[2]), Some(io::ErrorKind::StorageFull));
    assert_eq!(rig.world.firewall().open.len(), 10);
}

/// A client that asks on a thread of its own, with what it was answered.
type Asking = thread::JoinHandle<(Client, Vec<io::Result<Granted>>)>;

/// A client's socket for a test that speaks for the broker.
fn asked(wishes: Vec<Wish>) -> (OwnedFd, Asking) {
    let (ours, theirs) = socket::pair().expect("a pair");
    let (events, _) = socket::pair().expect("a pair");
    let client = Client::new(vec![theirs], events).expect("a client");
    let asking = thread::spawn(move || {
        let done = client.together(&wishes);
        (client, done)
    });
    (ours, asking)
}

fn question(broker: &OwnedFd) -> Together {
    socket::set_patience(broker, PATIENCE).expect("set");
    let mut room = [0; _];
    let message = socket::receive_together(broker, &mut room).expect("a question");
    Together::parse(message.expect("a question")).expect("questions")
}

#[test]
fn a_broker_that_is_gone_in_the_middle_leaves_each_without_its_answer() {
    let (broker, asking) = asked(opens(1..=3));
    assert_eq!(question(&broker).requests.len(), 3);
    drop(broker);
    let (client, done) = asking.join().expect("no panic");
    assert!(
        done.iter()
            .all(|one| kind(one) == Some(io::ErrorKind::ConnectionAborted))
    );
    assert!(client.together(&opens([4])).iter().all(Result::is_err));
}

#[test]
fn what_was_not_answered_is_shut_before_anything_else_is_asked_and_late_answers_are_nobodys() {
    let (broker, asking) = asked(opens(1..=2));
    let late = question(&broker);
    let (client, done) = asking.join().expect("no panic");
    assert!(
        done.iter()
            .all(|one| kind(one) == Some(io::ErrorKind::TimedOut))
    );
    let answers = emit_together(late.first, &[Answer::Done, Answer::Done], Answer::emit);
    socket::send_together(&broker, &answers).expect("sent");
    let asking = thread::spawn(move || client.together(&opens(3..=4)));
    for key in [2, 1] {
        let page = next_page(&broker).expect("a question");
        let (number, request) = Request::parse(&page).expect("a question");
        assert_eq!(request, Request::Close(HoleKey(key)));
        let answer = Answer::Refused(Reason::NoSuchHole);
        socket::send(&broker, &answer.emit(number), None).expect("sent");
    }
    let Together { first, requests } = question(&broker);
    assert_eq!(requests, [hole(3), hole(4)].map(Request::Open));
    let answers = [Answer::Done, Answer::Refused(Reason::TooMany)];
    let pages = emit_together(first, &answers, Answer::emit);
    socket::send_together(&broker, &pages).expect("sent");
    let done = asking.join().expect("no panic");
    assert!(done[0].is_ok());
    assert_eq!(kind(&done[1]), Some(io::ErrorKind::StorageFull));
}

#[test]
fn answers_that_are_too_few_or_out_of_order_are_none() {
    let done = [Answer::Done, Answer::Done];
    let disordered = |first: u32| {
        let mut pages = Answer::Done.emit(first).to_vec();
        pages.extend(Answer::Done.emit(first));
        pages
    };
    let torn = |first| emit_together(first, &done, Answer::emit)[..SIZE + 1].to_vec();
    let few = |first| emit_together(first, &done[..1], Answer::emit);
    let answers: [&dyn Fn(u32) -> Vec<u8>; 3] = [&disordered, &torn, &few];
    for answer in answers {
        let (broker, asking) = asked(opens(1..=2));
        let first = question(&broker).first;
        socket::send_together(&broker, &answer(first)).expect("sent");
        let (_, done) = asking.join().expect("no panic");
        assert!(
            done.iter()
                .all(|one| kind(one) == Some(io::ErrorKind::InvalidData))
        );
    }
}

#[test]
fn only_openings_and_settlings_come_together_in_order_and_not_too_many() {
    let several = |count: u64| -> Vec<Request> {
        (0..count)
            .map(|key| Request::Settle(HoleKey(key)))
            .collect()
    };
    let emit = |requests: &[Request]| emit_together(u32::MAX, requests, Request::emit);
    let most = several(MOST_TOGETHER as u64);
    let parsed = Together::parse(&emit(&most)).expect("as many as may");
    // Numbers begin anew at 0.
    assert_eq!((parsed.first, &parsed.requests), (u32::MAX, &most));
    let mut wrong = vec![Vec::new(), emit(&several(MOST_TOGETHER as u64 + 1))];
    let mut longer = emit(&several(2));
    longer.push(0);
    wrong.push(longer);
    let key = HoleKey(1);
    let ttl = Duration::from_secs(1);
    for alone in [
        Request::Renew { key, ttl },
        Request::Usage(key),
        Request::Kill(key),
        Request::Close(key),
        Request::Reread,
    ] {
        Together::parse(&emit(&[alone])).expect("alone");
        wrong.push(emit(&[alone, Request::Settle(key)]));
        wrong.push(emit(&[Request::Settle(key), alone]));
    }
    let mut unordered = Request::Settle(key).emit(5).to_vec();
    unordered.extend(Request::Settle(HoleKey(2)).emit(7));
    wrong.push(unordered);
    // Where they come from stands in the first page and nowhere else.
    let mut placed = emit(&several(2));
    say_where(&mut placed, 254);
    let parsed = Together::parse(&placed).expect("they may come from anywhere");
    assert_eq!(parsed.requests, several(2));
    assert_eq!(said_where(&placed), Some(254));
    say_where(&mut placed[SIZE..], 0);
    wrong.push(placed);
    for message in &wrong {
        Together::parse(message).expect_err("nothing that a gateway sends");
    }
    // Whoever sends it is ended.
    for message in wrong.iter().filter(|message| !message.is_empty()) {
        let rig = Rig::start();
        let (_, desktop) = rig.gateway();
        socket::send_together(&desktop.requests[0], message).expect("sent");
        assert_eq!(
            crate::fake::next_notice(&desktop),
            None,
            "it was not cut off"
        );
    }
}
