//! The little of Kafka's protocol that running a broker takes: what topics there are, and making
//! one.
//!
//! By hand, because the client libraries are what is put to the test here. Old versions of the
//! requests, which are the simpler ones; every Kafka 4 broker answers them.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// API keys and versions.
const METADATA: (i16, i16) = (3, 1);
const CREATE_TOPICS: (i16, i16) = (19, 2);

/// A silent broker is not asked for longer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// No honest answer is longer; what claims to be is not Kafka's.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// A broker's view of its cluster.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Number of brokers in service.
    pub(super) brokers: usize,
    /// Topics by name.
    pub(super) topics: BTreeMap<String, Topic>,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) partitions: usize,
    /// True if each partition has a leader, so that records can be written and read.
    pub(super) is_led: bool,
}

/// A broker's refusal to make a topic.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: i16,
    pub(super) message: String,
}

/// Asks the broker on `port` for all topics.
pub(super) fn metadata(port: u16) -> io::Result<Metadata> {
    // A null list of topics: all of them.
    let answer = ask(port, METADATA, &(-1_i32).to_be_bytes(), METADATA_TIMEOUT)?;
    let mut answer = Answer(&answer);
    let brokers = answer.length()?;
    for _ in 0..brokers {
        answer.i32()?; // node
        answer.string()?; // host
        answer.i32()?; // port
        answer.string()?; // rack
    }
    answer.i32()?; // controller
    let mut topics = BTreeMap::new();
    for _ in 0..answer.length()? {
        let (name, topic) = read_topic(&mut answer)?;
        topics.insert(name, topic);
    }
    Ok(Metadata { brokers, topics })
}

fn read_topic(answer: &mut Answer<'_>) -> io::Result<(String, Topic)> {
    let mut is_led = answer.i16()? == 0;
    let name = answer.string()?;
    answer.take(1)?; // whether it is internal
    let partitions = answer.length()?;
    for _ in 0..partitions {
        let error = answer.i16()?;
        answer.i32()?; // partition
        let leader = answer.i32()?;
        is_led &= error == 0 && leader >= 0;
        for _ in ["replicas", "in-sync replicas"] {
            let nodes = answer.length()?;
            answer.take(nodes * 4)?;
        }
    }
    Ok((name, Topic { partitions, is_led }))
}

/// Asks the broker on `port` to make a topic without replicas.
pub(super) fn create_topic(port: u16, name: &str, partitions: u32) -> io::Result<Result<(), Refusal>> {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes()); // topics
    put_string(&mut body, name)?;
    body.extend(partitions.to_be_bytes());
    body.extend(1_i16.to_be_bytes()); // replicas
    body.extend(0_i32.to_be_bytes()); // assignments
    body.extend(0_i32.to_be_bytes()); // settings
    body.extend(30_000_i32.to_be_bytes()); // milliseconds to wait for it
    body.push(0); // not just a rehearsal
    let answer = ask(port, CREATE_TOPICS, &body, CREATE_TIMEOUT)?;
    let mut answer = Answer(&answer);
    answer.i32()?; // throttled for
    if answer.length()? != 1 {
        return Err(malformed("an answer about one topic"));
    }
    answer.string()?; // the name again
    let code = answer.i16()?;
    let message = answer.string()?;
    Ok(if code == 0 { Ok(()) } else { Err(Refusal { code, message }) })
}

/// One request on a connection of its own.
fn ask(port: u16, (key, version): (i16, i16), body: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(0_i32.to_be_bytes()); // correlation
    put_string(&mut request, "servers")?;
    request.extend(body);

    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let length = u32::try_from(request.len()).map_err(|_| malformed("a request of less than 4 GiB"))?;
    stream.write_all(&[&length.to_be_bytes()[..], &request].concat())?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MOST_ANSWER_BYTES {
        return Err(malformed("an answer of a sane length"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    if answer.len() < 4 {
        return Err(malformed("a correlation number"));
    }
    Ok(answer.split_off(4))
}

fn put_string(request: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = i16::try_from(text.len()).map_err(|_| malformed("a string of at most 32767 bytes"))?;
    request.extend(length.to_be_bytes());
    request.extend(text.as_bytes());
    Ok(())
}

fn malformed(expected: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("Kafka's protocol has {expected} here"))
}

/// The part of an answer that is not read yet.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, bytes: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or_else(|| malformed("more bytes"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> io::Result<i16> {
        let mut bytes = [0; 2];
        bytes.copy_from_slice(self.take(2)?);
        Ok(i16::from_be_bytes(bytes))
    }

    fn i32(&mut self) -> io::Result<i32> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(i32::from_be_bytes(bytes))
    }

    /// Length of a list, 0 if there is none.
    fn length(&mut self) -> io::Result<usize> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    /// Empty if there is none.
    fn string(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}
