//! Tests of the publisher against a broker of a few lines that acknowledges, stays silent or closes the connection, as
//! each test sets it.
use super::*;
use std::net::TcpListener;
use std::thread::JoinHandle;

fn messages(count: usize) -> Vec<Message> {
    let one = |number: usize| Message {
        at_ms: 0,
        topic: format!("bitlock/v1/tokyo-01/BL{}/state", number % 7),
        payload: format!("{{\"ts\":{number}}}").into_bytes(),
        retain: number.is_multiple_of(2),
        lock: number % 7,
    };
    (0..count).map(one).collect()
}

/// Serves `connections` one after another; closes the first `hangups` of them after `patience` messages, the last of
/// them unacknowledged. Returns the published messages, in order, with their DUP flag.
fn broker(connections: usize, hangups: usize, patience: usize) -> (String, JoinHandle<Vec<Publish>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let serve = move || {
        let mut heard = Vec::new();
        for connection in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            let limit = if connection < hangups { patience } else { usize::MAX };
            serve_one(&mut stream, limit, &mut heard);
        }
        heard
    };
    (addr, std::thread::spawn(serve))
}

fn serve_one(stream: &mut TcpStream, limit: usize, heard: &mut Vec<Publish>) {
    let (mut inbox, mut buffer, mut count) = (BytesMut::new(), [0; 4096], 0);
    loop {
        let mut answer = BytesMut::new();
        loop {
            match Packet::read(&mut inbox, PACKET_BYTES_MAX) {
                Ok(Packet::Connect(_)) => drop(v4::ConnAck::new(ConnectReturnCode::Success, false).write(&mut answer)),
                Ok(Packet::Publish(publish)) => {
                    count += 1;
                    let id = publish.pkid;
                    heard.push(publish);
                    if count >= limit {
                        return;
                    }
                    v4::PubAck::new(id).write(&mut answer).unwrap();
                }
                Ok(Packet::Disconnect) => return,
                Ok(_) => {}
                Err(mqttbytes::Error::InsufficientBytes(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        stream.write_all(&answer).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => inbox.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn everything_arrives_once_and_in_order() {
    let (addr, broker) = broker(1, 0, 0);
    let sent = messages(2500);
    let mut publisher = Publisher::connect(&addr, "sim").unwrap().with_window(30);
    publisher.publish_all(&sent[..1000]).unwrap();
    publisher.ping().unwrap();
    publisher.publish_all(&sent[1000..]).unwrap();
    drop(publisher);
    let heard = broker.join().unwrap();
    assert_eq!(heard.len(), sent.len());
    for (heard, sent) in heard.iter().zip(&sent) {
        assert_eq!((&heard.topic, &heard.payload[..], heard.retain), (&sent.topic, &sent.payload[..], sent.retain));
        assert!(!heard.dup);
    }
}

#[test]
fn after_a_hangup_the_unacknowledged_come_again_marked_dup() {
    let (addr, broker) = broker(2, 1, 40);
    let sent = messages(300);
    let mut publisher = Publisher::connect(&addr, "sim").unwrap().with_reconnects(3);
    publisher.publish_all(&sent).unwrap();
    drop(publisher);
    let heard = broker.join().unwrap();
    assert!(heard.iter().any(|publish| publish.dup));
    // The first of each, in order, is the sent sequence.
    let mut first: Vec<Bytes> = Vec::new();
    for publish in &heard {
        if !first.contains(&publish.payload) {
            first.push(publish.payload.clone());
        }
    }
    assert!(first.iter().map(|payload| &payload[..]).eq(sent.iter().map(|message| &message.payload[..])));
}

#[test]
fn without_reconnecting_a_hangup_says_how_many_are_unacknowledged() {
    let (addr, broker) = broker(1, 1, 10);
    let error = Publisher::connect(&addr, "sim").unwrap().publish_all(&messages(50)).unwrap_err();
    assert!(matches!(error, PublishError::Lost { unacked, .. } if unacked > 0), "{error}");
    broker.join().unwrap();
}

#[test]
fn several_connections_keep_each_lock_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let broker = std::thread::spawn(move || {
        let serve = |_| {
            let (mut stream, _) = listener.accept().unwrap();
            std::thread::spawn(move || {
                let mut heard = Vec::new();
                serve_one(&mut stream, usize::MAX, &mut heard);
                heard
            })
        };
        let running: Vec<_> = (0..3).map(serve).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let sent = messages(500);
    let mut publishers = Publishers::connect(&addr, "sim", 3, |publisher| publisher.with_window(10)).unwrap();
    publishers.publish_all(&sent).unwrap();
    drop(publishers);
    let heard = broker.join().unwrap();
    assert_eq!(heard.iter().map(Vec::len).sum::<usize>(), sent.len());
    for topic in sent[..7].iter().map(|message| &message.topic) {
        let of_lock: Vec<Vec<&[u8]>> = heard
            .iter()
            .map(|one| {
                one.iter().filter(|publish| publish.topic == *topic).map(|publish| &publish.payload[..]).collect()
            })
            .collect();
        let wanted: Vec<&[u8]> =
            sent.iter().filter(|message| message.topic == *topic).map(|message| &message.payload[..]).collect();
        assert_eq!(of_lock.iter().filter(|one| !one.is_empty()).collect::<Vec<_>>(), [&wanted]);
    }
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = Publisher::connect(&addr, "sim").unwrap_err();
    assert!(matches!(error, PublishError::Connect { .. }) && error.to_string().contains(&addr), "{error}");
}
