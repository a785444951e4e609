//! Who is let in.

use std::time::{Duration, Instant};

use underpass_nats_server::NatsServer;
use underpass_transport_nats::{Config, ConnectError, Credentials, Nats};

use crate::given::{Holder, answer, config, connect, delivery, tell};

const USER: &str = "authorization { user: gate, password: \"pass word\" }";

fn as_user(server: &NatsServer, password: &str) -> Config {
    let credentials = Credentials::User { user: "gate".into(), password: password.into() };
    Config { credentials, ..config(server) }
}

#[test]
fn a_user_with_the_password_is_let_in_and_another_is_told_at_once() {
    tell(async {
        let server = NatsServer::with(USER);
        let mut gateway = Holder::gateway(connect(as_user(&server, "pass word")).await).await;
        gateway.publish(answer("a"));
        assert_eq!(gateway.next().await, delivery(answer("a")));
        for wrong in [as_user(&server, "password"), config(&server)] {
            let start = Instant::now();
            let refused = Nats::connect(wrong).await.unwrap_err();
            assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    });
}

#[test]
fn a_user_may_stand_in_the_url_and_a_token_may_be_shown() {
    tell(async {
        let server = NatsServer::with(USER);
        let url = format!("nats://gate:pass%20word@{}", server.address());
        assert!(connect(Config { servers: vec![url], ..config(&server) }).await.is_there());
        let server = NatsServer::with("authorization { token: secret }");
        let credentials = Credentials::Token("secret".into());
        assert!(connect(Config { credentials, ..config(&server) }).await.is_there());
    });
}

#[test]
fn a_server_that_is_not_there_is_waited_for_as_long_as_is_said() {
    tell(async {
        let mut server = NatsServer::start();
        server.kill();
        let secret = format!("nats://gate:secret@{}", server.address());
        let within = Duration::from_millis(300);
        let start = Instant::now();
        let there = Config { servers: vec![secret], connect: within, ..config(&server) };
        let refused = Nats::connect(there.clone()).await.unwrap_err().to_string();
        assert!(refused.contains(server.address()) && !refused.contains("secret"), "{refused}");
        assert!(start.elapsed() >= within);

        let comes = tokio::spawn(Nats::connect(Config { connect: Duration::from_secs(10), ..there }));
        tokio::task::yield_now().await;
        server.start_again();
        comes.await.unwrap().unwrap();
    });
}

#[test]
fn a_prefix_is_one_word() {
    tell(async {
        let server = NatsServer::start();
        for prefix in ["", "a.b", "a b", "*", ">"] {
            let refused = Nats::connect(Config { prefix: prefix.into(), ..config(&server) }).await.unwrap_err();
            assert!(matches!(refused, ConnectError::Prefix(_)), "{refused}");
        }
        let theirs = Holder::gateway(connect(Config { prefix: "theirs".into(), ..config(&server) }).await).await;
        let mut ours = Holder::gateway(connect(config(&server)).await).await;
        theirs.publish(answer("a"));
        ours.publish(answer("b"));
        assert_eq!(ours.next().await, delivery(answer("b")));
    });
}
