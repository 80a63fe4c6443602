//! Many requests at once: each is answered, none is refused that fits.

use serde_json::json;

use crate::support::Transport;
use crate::support::client::Client;
use crate::support::server::Server;

fn requests(count: usize) -> Vec<String> {
    let methods = ["account/read", "thread/loaded/list", "model/list"];
    let request =
        |number: usize| json!({ "id": format!("f{number}"), "method": methods[number % methods.len()] });
    (0..count).map(|number| request(number).to_string()).collect()
}

fn all_are_granted(client: &Client, count: usize) {
    client.wait_until("every answer", |heard| (heard.answered > count).then_some(()));
    let refused = client.received().into_iter().find(|message| message["error"].is_object());
    assert_eq!(refused, None);
}

#[test]
fn three_thousand_requests_on_one_connection_are_all_answered() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    client.send_all(&requests(/*count*/ 3000));
    client.wait_until("every answer", |heard| (heard.answered == 3001).then_some(()));
    server.stop();
}

#[test]
fn sixty_four_connections_with_thirty_two_requests_in_flight_are_never_refused() {
    let mut server = Server::start(Transport::WebSocket);
    let mut clients: Vec<Client> = (0..64).map(|_| server.client()).collect();
    let requests = requests(/*count*/ 32);
    for round in 1..=3 {
        for client in &mut clients {
            client.send_all(&requests);
        }
        for client in &clients {
            all_are_granted(client, round * 32);
        }
    }
    drop(clients);
    server.stop();
}

#[test]
fn a_thousand_threads_started_in_one_go_are_all_there() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    let starts: Vec<String> = (0..1000)
        .map(|at| json!({ "id": format!("s{at}"), "method": "thread/start", "params": {} }).to_string())
        .collect();
    client.send_all(&starts);
    all_are_granted(&client, starts.len());
    server.stop();
}

#[test]
fn a_flood_does_not_keep_others_waiting() {
    let mut server = Server::start(Transport::WebSocket);
    let mut flooder = server.client();
    let mut other = server.client();
    let thread = other.thread();
    flooder.send_all(&requests(/*count*/ 3000));
    assert_eq!(other.turn(&thread, "hello")["status"], "completed");
    flooder.wait_until("every answer", |heard| (heard.answered == 3001).then_some(()));
}

#[test]
fn many_turns_at_once_all_end() {
    let mut server = Server::start(Transport::WebSocket);
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let turns: Vec<Vec<String>> = clients
        .iter_mut()
        .map(|client| {
            let threads: Vec<String> = (0..4).map(|_| client.thread()).collect();
            threads.iter().map(|thread| client.start_turn(thread, "slow: 1ms\nhello")).collect()
        })
        .collect();
    for (client, turns) in clients.iter().zip(&turns) {
        for turn in turns {
            let status = client.wait_until("the turn's end", |heard| {
                let own = heard.received.iter().map(|message| &message["params"]["turn"]);
                own.filter(|told| told["id"] == turn.as_str())
                    .map(|told| told["status"].clone())
                    .find(|s| s != "inProgress")
            });
            assert_eq!(status, "completed");
        }
    }
    drop(clients);
    server.stop();
}
