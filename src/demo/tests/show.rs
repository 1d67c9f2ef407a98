//! The demo from start to end, with the demo's own server in the gateway's place and a journal written beforehand.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use super::super::show::{
    DemoError, DemoOptions, RunningGateway, StartError, make_and_tell, run, stay,
};
use super::server;
use crate::demo::server::Limits;

const LINES: [&str; 3] = [
    r#"{"event":"pinhole.opened","time":"2026-11-21T04:05:06.000000Z","pinhole":"s.1","user":"demo","command":"PASV",
        "from":"127.0.0.1","at":"127.0.0.1:21003"}"#,
    r#"{"event":"pinhole.used","time":"2026-11-21T04:05:06.001000Z","pinhole":"s.1"}"#,
    r#"{"event":"pinhole.closed","time":"2026-11-21T04:05:06.050000Z","pinhole":"s.1","reason":"Completed"}"#,
];

fn options(listen: &str) -> DemoOptions {
    DemoOptions {
        listen: listen.parse().unwrap(),
        interactive: false,
    }
}

/// Stands in for a gateway: the upstream itself, and a journal of so many pinholes.
fn no_gateway(upstream: SocketAddr, pinholes: usize) -> (RunningGateway, oneshot::Receiver<()>) {
    let (lines, journal) = mpsc::unbounded_channel();
    for line in LINES.repeat(pinholes) {
        lines.send(line.to_owned()).unwrap();
    }
    let (stopped, was_stopped) = oneshot::channel();
    let gateway = RunningGateway {
        address: upstream,
        journal,
        certificate: None,
        stop: Box::pin(async move {
            stopped.send(()).unwrap();
        }),
    };
    (gateway, was_stopped)
}

#[tokio::test]
async fn twelve_transfers_are_made_and_told() {
    let mut out = Vec::new();
    let mut was_stopped = None;
    run(
        options("127.0.0.1:0"),
        &mut out,
        async |upstream, listen: SocketAddr| {
            assert_eq!(listen, "127.0.0.1:0".parse().unwrap());
            let (gateway, stopped) = no_gateway(upstream, 12);
            was_stopped = Some(stopped);
            Ok(gateway)
        },
    )
    .await
    .unwrap();
    was_stopped.unwrap().await.unwrap();
    let out = String::from_utf8(out).unwrap();
    let story = "     pinhole 127.0.0.1:21003 for 127.0.0.1 only (demo said PASV)\n     \
                 opened 04:05:06.000, shut 04:05:06.050: open for 50 ms, used after 1.0 ms, shut: Completed\n";
    assert_eq!(out.matches(story).count(), 12, "{out}");
    assert!(
        out.contains("EPRT download demo-eprt.bin: 1,048,576 bytes, all right\n"),
        "{out}"
    );
    assert!(out.contains("\n12 transfers, "), "{out}");
}

#[tokio::test]
async fn a_taken_port_is_said_with_the_way_out() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();
    let mut out = Vec::new();
    let error = run(
        options(&taken.to_string()),
        &mut out,
        async |_, _| -> Result<RunningGateway, StartError> { unreachable!("nothing is started") },
    )
    .await
    .unwrap_err();
    let expected = format!(
        "{taken} is taken by another program; choose another port: portcullis demo --listen 127.0.0.1:0"
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_gateway_that_fails_is_said() {
    let mut out = Vec::new();
    let error = run(options("127.0.0.1:0"), &mut out, async |_, _| {
        Err("no window".into())
    })
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), "the gateway did not start: no window");
}

#[tokio::test]
async fn a_gateway_that_ends_in_the_middle_is_a_failure() {
    let mut out = Vec::new();
    let mut was_stopped = None;
    let error = run(options("127.0.0.1:0"), &mut out, async |upstream, _| {
        let (gateway, stopped) = no_gateway(upstream, 3);
        was_stopped = Some(stopped);
        Ok(gateway)
    })
    .await
    .unwrap_err();
    assert!(matches!(error, DemoError::GatewayGone), "{error}");
    was_stopped.unwrap().await.unwrap();
}

#[tokio::test]
async fn a_refused_transfer_is_a_failure() {
    let limits = Limits {
        bytes: 1000,
        ..Limits::default()
    };
    let server = server(limits).await;
    let (mut gateway, _stopped) = no_gateway(server.address(), 1);
    let mut out = Vec::new();
    let error = make_and_tell(&mut out, gateway.address, &mut gateway.journal)
        .await
        .unwrap_err();
    let error = error.to_string();
    let expected = "the upload of demo-pasv.bin with PASV failed: ";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn staying_says_what_to_type_and_tells_of_pinholes() {
    let (lines, mut journal) = mpsc::unbounded_channel();
    for line in LINES {
        lines.send(line.to_owned()).unwrap();
    }
    let mut out = Vec::new();
    let reach = "127.0.0.1:2121".parse().unwrap();
    // What the journal has already is told before the end, so an end at once loses nothing.
    stay(&mut out, reach, &mut journal, async {}).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("  curl ftp://127.0.0.1:2121/ "), "{out}");
    assert!(
        out.contains(" open  127.0.0.1:21003 for 127.0.0.1 only"),
        "{out}"
    );
    assert!(
        out.contains(" shut  127.0.0.1:21003: open for 50 ms"),
        "{out}"
    );
}
