//! A client's stream once the client has left.

use std::io::ErrorKind;

use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex},
    time::timeout,
};

use super::*;

const PATIENCE: Duration = Duration::from_mins(1);

fn connection() -> (DuplexStream, ClientStream) {
    let (client, server) = duplex(1024);
    (client, ClientStream::of(Box::new(server), Arc::default()))
}

fn patience(time: Duration, bytes: u64) -> Patience {
    Patience { time, bytes }
}

/// Returns true if a read would give anything now, an error or the end included.
async fn reads(stream: &mut ClientStream) -> bool {
    let mut buffer = [0];
    std::future::poll_fn(|context| {
        let mut buffer = ReadBuf::new(&mut buffer);
        Poll::Ready(std::pin::Pin::new(&mut *stream).poll_read(context, &mut buffer).is_ready())
    })
    .await
}

use std::task::Poll;

#[tokio::test]
async fn client_that_left_ends_its_request_unless_that_is_waited_for() {
    let (client, mut stream) = connection();
    drop(client);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(stream.client().has_left());
    assert!(stream.write_all(b"answer").await.is_err());
    assert!(stream.client().is_gone());
}

#[tokio::test]
async fn request_that_is_waited_for_does_not_notice_that_its_client_left() {
    let (client, mut stream) = connection();
    stream.client().wait_on(&patience(PATIENCE, 10));
    drop(client);
    assert!(!reads(&mut stream).await);
    assert!(stream.client().has_left());
    stream.write_all(b"0123456789").await.unwrap();
    stream.flush().await.unwrap();
    let refused = stream.write_all(b"!").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
    assert!(stream.client().is_exhausted());
}

#[tokio::test]
async fn wait_ends_when_its_time_is_over() {
    let (client, mut stream) = connection();
    stream.client().wait_on(&patience(Duration::from_millis(50), 10));
    drop(client);
    let error = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(stream.client().is_exhausted());
}

#[tokio::test]
async fn client_that_only_stopped_sending_still_gets_its_answer() {
    let (mut client, mut stream) = connection();
    stream.client().wait_on(&patience(PATIENCE, 0));
    client.shutdown().await.unwrap();
    assert!(!reads(&mut stream).await);
    assert!(stream.client().has_left() && !stream.client().is_gone());
    stream.write_all(b"answer").await.unwrap();
    drop(stream);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn deadline_ends_a_request_whose_client_is_still_there() {
    let (_client, mut stream) = connection();
    stream.client().set_deadline(Some(Duration::from_millis(50)));
    let error = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(stream.client().is_overdue() && !stream.client().has_left());
}

#[tokio::test]
async fn next_request_on_a_connection_knows_nothing_of_the_one_before() {
    let (client, mut stream) = connection();
    stream.client().wait_on(&patience(PATIENCE, 10));
    drop(client);
    assert!(!reads(&mut stream).await);
    stream.client().begin();
    assert!(!stream.client().has_left());
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it sees the end, too");
}

#[tokio::test]
async fn upgraded_connection_ends_when_it_is_told_to() {
    let (_peer, stream) = connection();
    let client = Arc::clone(stream.client());
    let serving = tokio::spawn(serve_request(Some(Arc::clone(&client)), async move {
        stream.client().upgrade(false);
        std::future::pending::<()>().await;
        drop(stream);
        Some(())
    }));
    while !client.upgraded.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    client.end(End::Key);
    assert!(timeout(PATIENCE, serving).await.unwrap().unwrap().is_none());
    assert_eq!(client.ended(), Some(End::Key));
}
