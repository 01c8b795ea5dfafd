//! One delivery to one webhook: signed, once, without following redirects.
//!
//! Headers and signature are those of Standard Webhooks, so that receivers need no code of ours:
//! `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,BASE64` over `ID.TIMESTAMP.BODY`.
//!
//! Source: the specification of Standard Webhooks.

use super::events::NotifyEvent;
use super::settings::{Webhook, WebhookFormat};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::Duration;
use uuid::Uuid;

/// Longest time of one delivery.
const TIME: Duration = Duration::from_secs(10);

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has it.
    Delivered,
    /// It may go better later, with the reason.
    Later(String),
    /// It would come out the same again, with the reason.
    Refused(String),
}

/// Makes the client that all deliveries of a webhook use.
pub fn client() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIME))
        // A redirect would take event and signature to an address that nobody wrote down.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("tombolo/", env!("CARGO_PKG_VERSION")))
        .build();
    config.new_agent()
}

/// Sends an event to a webhook at a time, in epoch seconds. `id` is the same at each attempt.
pub fn deliver(
    client: &ureq::Agent,
    webhook: &Webhook,
    id: Uuid,
    event: &NotifyEvent,
    time: i64,
) -> DeliveryOutcome {
    let body = match webhook.format {
        WebhookFormat::Json => event.json(),
        WebhookFormat::Slack => event.slack(),
    };
    let (id, time) = (id.to_string(), time.to_string());
    let mut request = client
        .post(&webhook.url)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", &time);
    if let Some(secret) = &webhook.secret {
        request = request.header("webhook-signature", signature(secret, &id, &time, &body));
    }
    match request.send(body.as_bytes()) {
        Ok(response) => outcome_of(response.status().as_u16()),
        Err(e) => DeliveryOutcome::Later(reason(&e)),
    }
}

fn outcome_of(status: u16) -> DeliveryOutcome {
    match status {
        200..=299 => DeliveryOutcome::Delivered,
        // Too early, too many, too slow: the same request may pass later.
        408 | 425 | 429 | 500..=599 => DeliveryOutcome::Later(format!("it answered {status}")),
        300..=399 => DeliveryOutcome::Refused(format!(
            "it answered {status}, and redirects are not followed"
        )),
        _ => DeliveryOutcome::Refused(format!("it answered {status}")),
    }
}

/// Says why there was no answer. Words of the client may repeat the address, which may be a secret.
fn reason(e: &ureq::Error) -> String {
    match e {
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be reached".to_owned(),
        ureq::Error::Io(e) => format!("it cannot be reached: {}", e.kind()),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "its certificate is not valid".to_owned(),
        _ => "there was no answer".to_owned(),
    }
}

/// The signature of a body.
fn signature(secret: &[u8], id: &str, time: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret).expect("BUG: HMAC takes keys of any length");
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        // The example of the specification.
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let body = "{\"test\": 2432232314}";
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_what_may_pass_later_is_sent_again() {
        assert_eq!(outcome_of(204), DeliveryOutcome::Delivered);
        for status in [500, 503, 429, 408] {
            assert!(matches!(outcome_of(status), DeliveryOutcome::Later(_)), "{status}");
        }
        for status in [301, 307, 400, 401, 404, 410] {
            assert!(matches!(outcome_of(status), DeliveryOutcome::Refused(_)), "{status}");
        }
    }

    #[test]
    fn a_redirect_is_not_followed() {
        use super::super::events::{EventKind, NotifyEvent};
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a call");
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).expect("a request");
            let answer = format!(
                "HTTP/1.1 307 Elsewhere\r\nlocation: http://{address}/other\r\n\
                 content-length: 0\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).expect("answered");
            drop(stream);
            listener.set_nonblocking(true).expect("set");
            listener
        });
        let webhook = Webhook {
            name: "w".into(),
            id: "w".into(),
            url: format!("http://{address}/hook"),
            secret: None,
            format: WebhookFormat::Json,
            events: EventKind::ALL.into_iter().collect(),
        };
        let event = NotifyEvent {
            kind: EventKind::JobHeld,
            at: 0,
            data: serde_json::Value::Null,
            text: String::new(),
        };
        let outcome = deliver(&client(), &webhook, Uuid::new_v4(), &event, 0);
        assert!(matches!(outcome, DeliveryOutcome::Refused(_)), "{outcome:?}");
        let listener = answers.join().expect("it answered");
        assert!(listener.accept().is_err(), "nobody called the other address");
    }
}
