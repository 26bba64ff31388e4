//! What goes to Slack by an incoming webhook: the whole message each time, for a webhook has no threads. Must not know
//! the Web API. Called by the connector.
use super::delivery::{Delivery, SendError, Sent};
use super::http::{Answer, Http, Request};
use super::secret::Secret;
use super::slack_text::whole;
use serde_json::json;
use zenei_incident::event::DeliveryDuplicated;
use zenei_incident::message::Message;

/// Said of a message that is sent no more.
const LOST_TWICE: &str = "two answers were lost: the message may be there twice or, less likely, not at all";

/// The answer, where it is a webhook's own to what it took: `ok`.
///
/// # Errors
/// [`SendError::Again`] where something else answered.
pub(super) fn is_ok(answer: Answer) -> Result<Answer, SendError> {
    answer.expecting("`ok`", |it| it.body.trim_ascii() == b"ok")
}

/// By an incoming webhook. Whether a lost answer hid a message can't be looked up: the next attempt sends again and
/// reports that it may be there twice; if its answer is lost too, also by the end of the program, no third is sent.
pub(super) async fn through_hook(
    http: &Http,
    hook: &Secret,
    delivery: &Delivery<'_>,
    message: &Message,
) -> Result<Sent, SendError> {
    let shown = whole(message, delivery.incident.id);
    let body = json!({ "text": shown.text, "blocks": shown.blocks });
    let doubled = |why: &str| {
        let (target, why) = (delivery.target.to_owned(), why.to_owned());
        Sent { events: vec![DeliveryDuplicated { target, why }.into()], ..Sent::remark("sent again") }
    };
    if delivery.unanswered >= 2 {
        return Ok(doubled(LOST_TWICE));
    }
    let answer = http.send(Request::post(hook.reveal(), &body).hiding(hook)).await;
    let after = answer.as_ref().ok().and_then(|answer| answer.retry_after);
    let failed = match answer {
        Ok(answer) if answer.status >= 500 => SendError::Again { why: answer.shown(), after, maybe_sent: true },
        Ok(answer) => match answer.success().and_then(is_ok) {
            Ok(_) if delivery.unanswered > 0 => {
                return Ok(doubled("the answer to an earlier attempt was lost, and a webhook has no lookup"));
            }
            Ok(answer) => return Ok(Sent::remark(answer.shown())),
            Err(error) => error,
        },
        Err(error) => error,
    };
    match failed {
        SendError::Again { maybe_sent: true, .. } if delivery.unanswered > 0 => Ok(doubled(LOST_TWICE)),
        failed @ (SendError::Again { .. } | SendError::Never { .. }) => Err(failed),
    }
}
