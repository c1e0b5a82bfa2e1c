//! A request is the same in whatever pieces its bytes come (RFC 9112, section 2.2); h1spec's
//! fragmented requests.

use crate::{message::read_answers, suite::Suite, support::raw::Wire};

#[tokio::test(flavor = "multi_thread")]
async fn request_that_comes_in_two_pieces_is_answered_once_it_is_whole() {
    const WHOLE: &str = "GET /behind HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let suite = Suite::start().await;
    for cut in 1..WHOLE.len() {
        let mut wire = Wire::connect(suite.gateway.address).await;
        let (begin, end) = WHOLE.split_at(cut);
        wire.send(begin).await;
        tokio::task::yield_now().await;
        wire.send(end).await;
        let answers = read_answers(wire.read_to_end().await.as_bytes(), false).unwrap();
        assert!(matches!(&answers[..], [answer] if answer.body == "behind"), "{begin:?}: {answers:?}");
    }
}
