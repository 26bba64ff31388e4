//! Slack: a channel for each urgent incident with its people, one thread of what happens, and a post in the channel of
//! inquiries, marked 自動検知, as a support person would write it. With a token every message is looked up by its
//! metadata before it is posted, because Slack has no key that deduplicates. An incoming webhook alone has neither
//! channels nor threads nor a lookup: what may be there twice is reported. Must not know the outbox. Called through
//! [`super::Target`].
use super::delivery::{Common, Delivery, SendError, Sent};
use super::fault::Fault;
use super::http::{Http, Request};
use super::secret::Secret;
use super::slack_api::{Api, EVENT_TYPE, Failed, id};
use super::slack_hook::{is_ok, through_hook};
use super::slack_progress::Progress;
use super::slack_text::{Shown, inert, opening, topic, update};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use zenei_incident::event::{ChannelOpened, Invited};
use zenei_incident::message::{Message, rfc3339};
use zenei_incident::{Event, Incident, What};
use zenei_wire::EngineTime;

/// The real service.
const REAL: &str = "https://slack.com";
/// The beginning of a channel's name, where the configuration has none.
const PREFIX: &str = "inc";
/// The longest beginning of a channel's name: with date and id it stays below Slack's 80.
const PREFIX_MAX: usize = 40;
/// Digits of the incident's id in its channel's name: 32 bits; two incidents of one day rarely share them, and the
/// message in the channel tells whose it is.
const ID_DIGITS: usize = 8;

/// Slack.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SlackConfig {
    /// What every target has.
    #[serde(flatten)]
    pub common: Common,
    /// File that holds the bot's token (xoxb-…): channels, invitations, threads.
    #[schemars(extend("format" = "file", "examples" = ["slack.token"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// File that holds the app's signing secret: `/zenei` and the buttons.
    #[schemars(extend("format" = "file", "examples" = ["slack.signing"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_secret_file: Option<PathBuf>,
    /// File that holds the URL of an incoming webhook, instead of a token.
    #[schemars(extend("format" = "file", "examples" = ["slack.webhook"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url_file: Option<PathBuf>,
    /// Channel of inquiries (市場問い合わせ), by name or id, that is told of each incident. Absent: none.
    #[schemars(extend("examples" = ["#dev_前衛"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inquiry_channel: Option<String>,
    /// Beginning of the names of incidents' channels: lower-case letters, digits, - and _. Absent: inc.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_prefix: Option<String>,
    /// Whether incidents' channels are private.
    pub private_channels: bool,
}

/// A Slack that can be sent to.
#[derive(Debug)]
pub struct Slack {
    way: Way,
    inquiry_channel: Option<String>,
    /// The id of the channel of inquiries, once it is known.
    inquiry_id: tokio::sync::OnceCell<String>,
    prefix: String,
    is_private: bool,
    /// The secret that Slack signs with: `/zenei` and the buttons; without it messages have no buttons.
    signing_secret: Option<Secret>,
    /// What deliveries that have not ended have done, so that the next attempt goes on from there.
    progress: Progress,
    /// Whether a message is looked up before it is posted; only a negative control turns it off.
    looks_up: bool,
}

#[derive(Debug)]
enum Way {
    Api(Api),
    Hook(Secret),
}

/// A message in Slack.
#[derive(Clone, Debug)]
struct Place {
    channel: String,
    ts: String,
    /// Whether this delivery posted it.
    is_new: bool,
}

/// Whether Slack is told of this event: of what people do and want to know, not of what Slack itself gave rise to.
pub(super) fn wants(event: &Event) -> bool {
    match &event.what {
        What::Opened(_) | What::Acknowledged(_) | What::OwnerAssigned(_) | What::UrgencyChanged(_) => true,
        What::DomainChanged(_) | What::StatusChanged(_) | What::InquiryLinked(_) | What::InquiryUnlinked(_) => true,
        What::Note(_) | What::TempFixDone(_) | What::TelemetryRecovered(_) | What::PostmortemHeld(_) => true,
        What::Judged(_) | What::PostmortemScheduled(_) | What::Completed(_) | What::MergedInto(_) => true,
        What::Reopened(_) | What::FlappingStarted(_) | What::FlappingEnded(_) | What::RunbookAttached(_) => true,
        What::RunbookStepDone(_) | What::ActionItemAdded(_) | What::ActionItemChanged(_) => true,
        What::SimilarFound(_) | What::Unmuted(_) => true,
        What::EvidenceAdded(_) | What::ChannelOpened(_) | What::Invited(_) | What::EffortAdded(_) => false,
        What::DeliveryFailed(_) | What::DeliveryDuplicated(_) | What::Muted(_) | What::Other { .. } => false,
    }
}

impl Slack {
    /// Reads the token or the webhook's URL.
    ///
    /// # Errors
    /// What is missing, too much, or can't be read; never a secret.
    pub(super) fn open(config: &SlackConfig) -> Result<Self, Fault> {
        let way = match (&config.token_file, &config.webhook_url_file) {
            (Some(file), None) => Way::Api(Api {
                base: config.common.base(REAL).to_owned(),
                token: Secret::read(file).map_err(Fault::at("token_file"))?,
            }),
            (None, Some(file)) => Way::Hook(Secret::read(file).map_err(Fault::at("webhook_url_file"))?),
            (Some(_), Some(_)) | (None, None) => {
                return Err("one of `token_file` and `webhook_url_file` is needed".to_owned().into());
            }
        };
        let prefix = config.channel_prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        let is_allowed = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || c == '-' || c == '_';
        if prefix.is_empty() || prefix.chars().count() > PREFIX_MAX || !prefix.chars().all(is_allowed) {
            return Err(Fault::at("channel_prefix")(format!(
                "{prefix:?}; it has 1 to {PREFIX_MAX} lower-case letters, digits, - and _"
            )));
        }
        Ok(Self {
            way,
            inquiry_channel: config.inquiry_channel.clone(),
            inquiry_id: tokio::sync::OnceCell::new(),
            prefix,
            is_private: config.private_channels,
            signing_secret: (config.signing_secret_file.as_deref().map(Secret::read).transpose())
                .map_err(Fault::at("signing_secret_file"))?,
            progress: Progress::default(),
            looks_up: true,
        })
    }

    /// The secret that its requests are signed with; `None` where it sends none.
    pub(super) const fn signing_secret(&self) -> Option<&Secret> {
        self.signing_secret.as_ref()
    }

    pub(super) async fn send(&self, http: &Http, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        let message = delivery.message;
        match &self.way {
            Way::Hook(hook) => through_hook(http, hook, delivery, message).await,
            Way::Api(api) => {
                let mut posting = Posting { slack: self, api, http, delivery, message, sent: Sent::default() };
                posting.tell_on().await
            }
        }
    }

    /// Posts a marked text where messages go that are in no incident's channel.
    pub(super) async fn test(&self, http: &Http, now: EngineTime) -> Result<String, SendError> {
        let text = format!("[zenei test] Nothing has happened. テスト送信です。 {}", rfc3339(now));
        match &self.way {
            Way::Hook(hook) => {
                let answer = http
                    .send(Request::post(hook.reveal(), &json!({ "text": text })).hiding(hook))
                    .await?
                    .success()
                    .and_then(is_ok)?;
                Ok(answer.shown())
            }
            Way::Api(api) => {
                let who = self.check(http).await?;
                let Some(channel) = &self.inquiry_channel else {
                    return Ok(format!("{who}; nothing was posted, because `inquiry_channel` is not set"));
                };
                let method = "chat.postMessage";
                let body = json!({ "channel": channel, "text": text, "parse": "none" });
                let posted = api.call(http, method, &body).await.map_err(|error| error.of(method))?;
                Ok(format!("{who}; posted in {} at {}", shown(&posted["channel"]), shown(&posted["ts"])))
            }
        }
    }

    /// Asks who the token is and where the channel of inquiries is; a webhook can only be tried by a test.
    pub(super) async fn check(&self, http: &Http) -> Result<String, SendError> {
        match &self.way {
            Way::Hook(hook) => {
                http.reach(hook.reveal()).await?;
                Ok("the webhook's address is allowed; only a test shows whether Slack knows it".to_owned())
            }
            Way::Api(api) => {
                let method = "auth.test";
                let who = api.call(http, method, &json!({})).await.map_err(|error| error.of(method))?;
                self.inquiry_id(http, api).await?;
                Ok(format!("the token is {} in {}", shown(&who["user"]), shown(&who["team"])))
            }
        }
    }

    /// The id of the channel of inquiries, which reading needs; `None` if none is configured.
    async fn inquiry_id(&self, http: &Http, api: &Api) -> Result<Option<&String>, SendError> {
        let Some(wanted) = &self.inquiry_channel else {
            return Ok(None);
        };
        let look = async || {
            let is_id =
                wanted.starts_with(['C', 'G']) && wanted.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
            if is_id {
                return Ok(wanted.clone());
            }
            let name = wanted.strip_prefix('#').unwrap_or(wanted);
            let found = api.channel_of_name(http, name).await.map_err(|error| error.of("conversations.list"))?;
            let none = || format!("inquiry_channel is {wanted:?}; the app sees no such channel: invite it there");
            found.ok_or_else(|| SendError::never(none()))
        };
        self.inquiry_id.get_or_try_init(look).await.map(Some)
    }
}

/// One delivery by the API.
struct Posting<'a> {
    slack: &'a Slack,
    api: &'a Api,
    http: &'a Http,
    delivery: &'a Delivery<'a>,
    message: &'a Message,
    sent: Sent,
}

impl Posting<'_> {
    /// Goes on while each failure comes after something new was done: an opening takes a dozen calls, and one that
    /// fails must not cost those before it.
    async fn tell_on(&mut self) -> Result<Sent, SendError> {
        let incident = self.delivery.incident.id;
        let mut done = self.slack.progress.count(incident);
        loop {
            self.sent = Sent::default();
            let error = match self.tell().await {
                Ok(()) => {
                    self.slack.progress.end(incident);
                    return Ok(std::mem::take(&mut self.sent));
                }
                Err(error) => error,
            };
            let now_done = self.slack.progress.count(incident);
            match error {
                SendError::Again { after: None, .. } if now_done > done => done = now_done,
                error @ (SendError::Again { .. } | SendError::Never { .. }) => return Err(error),
            }
        }
    }

    async fn tell(&mut self) -> Result<(), SendError> {
        let room = self.room().await?;
        let inquiry = self.inquiry(room.as_ref()).await?;
        let Some(main) = room.as_ref().or(inquiry.as_ref()) else {
            self.sent.remark = "this urgency opens no channel, and `inquiry_channel` is not set".to_owned();
            return Ok(());
        };
        self.sent.remark = format!("channel {}", main.channel);
        if !main.is_new {
            let key = format!("{}/{}", self.message.key, self.delivery.event.seq);
            self.post(&main.channel, Some(&main.ts), &key, &update(self.message), true).await?;
        }
        if changes_state(self.delivery.event) {
            for place in [&room, &inquiry].into_iter().flatten().filter(|place| !place.is_new) {
                let link = room.as_ref().filter(|room| room.channel != place.channel);
                self.refresh(place, link.map(|room| room.channel.as_str())).await?;
            }
        }
        let asks_others = matches!(self.delivery.event.what, What::UrgencyChanged(_) | What::DomainChanged(_));
        if let Some(room) = room.filter(|room| asks_others && !room.is_new) {
            self.invite(&room.channel).await?;
        }
        Ok(())
    }

    /// The first message of the incident's channel, which is opened now if the urgency asks for one.
    async fn room(&mut self) -> Result<Option<Place>, SendError> {
        if let Some(known) = self.remembered("channel", "root") {
            return Ok(Some(known));
        }
        if !self.delivery.opens_channel {
            return Ok(None);
        }
        let name = self.slack.channel_name(self.delivery.incident);
        let (channel, is_created) = self.channel(&name).await?;
        self.topic(&channel).await?;
        let key = format!("{}/root", self.message.key);
        let first = opening(self.message, self.delivery.incident.id, self.slack.signing_secret.is_some(), None);
        let ts = self.post(&channel, None, &key, &first, !is_created).await?;
        let pin = json!({ "channel": channel, "timestamp": ts });
        self.accept("pins.add", &pin, &["already_pinned"]).await?;
        self.invite(&channel).await?;
        self.sent.remember.extend([("channel".into(), channel.clone()), ("root".into(), ts.clone())]);
        let url = format!("https://slack.com/app_redirect?channel={channel}");
        let opened = ChannelOpened { target: self.delivery.target.into(), channel: format!("#{name}"), url };
        self.sent.events.insert(0, opened.into());
        Ok(Some(Place { channel, ts, is_new: true }))
    }

    /// The id of the channel with this name, and whether this call opened it.
    async fn channel(&self, name: &str) -> Result<(String, bool), SendError> {
        if let Some(known) = self.done("channel") {
            return Ok((known, false));
        }
        let body = json!({ "name": name, "is_private": self.slack.is_private });
        let (channel, is_created) = match self.api.call(self.http, "conversations.create", &body).await {
            Ok(created) => (id(&created["channel"]["id"]), true),
            Err(Failed::Word(word)) if word == "name_taken" => {
                let found = self.api.channel_of_name(self.http, name).await;
                (found.map_err(|error| error.of("conversations.list"))?, false)
            }
            Err(error) => return Err(error.of("conversations.create")),
        };
        let none = || format!("the name #{name} is taken by a channel that the app does not see");
        let channel = channel.ok_or_else(|| SendError::never(none()))?;
        self.note("channel", &channel);
        Ok((channel, is_created))
    }

    /// The incident's post in the channel of inquiries.
    async fn inquiry(&mut self, room: Option<&Place>) -> Result<Option<Place>, SendError> {
        if let Some(known) = self.remembered("inquiry_channel", "inquiry") {
            return Ok(Some(known));
        }
        let Some(channel) = self.slack.inquiry_id(self.http, self.api).await?.cloned() else {
            return Ok(None);
        };
        let key = format!("{}/inquiry", self.message.key);
        let buttons = self.slack.signing_secret.is_some() && room.is_none();
        let link = room.map(|room| room.channel.as_str());
        let post = opening(self.message, self.delivery.incident.id, buttons, link);
        let ts = self.post(&channel, None, &key, &post, true).await?;
        self.sent.remember.extend([("inquiry_channel".into(), channel.clone()), ("inquiry".into(), ts.clone())]);
        Ok(Some(Place { channel, ts, is_new: true }))
    }

    /// Posts once: what an earlier attempt posted is found by its key. Returns its `ts`.
    async fn post(
        &self,
        channel: &str,
        thread: Option<&str>,
        key: &str,
        shown: &Shown,
        may_exist: bool,
    ) -> Result<String, SendError> {
        if let Some(ts) = self.done(key) {
            return Ok(ts);
        }
        if may_exist && self.slack.looks_up {
            let found = self.api.message_of_key(self.http, channel, thread, key).await;
            if let Some(ts) = found.map_err(|error| error.of("conversations.history"))? {
                self.note(key, &ts);
                return Ok(ts);
            }
        }
        let mut body = json!({
            "channel": channel, "text": shown.text, "blocks": shown.blocks, "parse": "none", "mrkdwn": false,
            "unfurl_links": false, "unfurl_media": false,
            "metadata": { "event_type": EVENT_TYPE, "event_payload": { "key": key } },
        });
        if let Some(thread) = thread {
            body["thread_ts"] = json!(thread);
        }
        let method = "chat.postMessage";
        let posted = self.api.call(self.http, method, &body).await.map_err(|error| error.of(method))?;
        let none = || SendError::again("chat.postMessage answered without ts");
        let ts = posted["ts"].as_str().map(str::to_owned).ok_or_else(none)?;
        self.note(key, &ts);
        Ok(ts)
    }

    /// Brings a message up to the incident's state; one that was deleted stays so.
    async fn refresh(&self, place: &Place, link: Option<&str>) -> Result<(), SendError> {
        let is_room = self.delivery.remote.get("channel") == Some(&place.channel);
        let buttons = self.slack.signing_secret.is_some() && link.is_none();
        let shown = opening(self.message, self.delivery.incident.id, buttons, link);
        let body = json!({ "channel": place.channel, "ts": place.ts, "text": shown.text, "blocks": shown.blocks });
        self.accept("chat.update", &body, &["message_not_found"]).await?;
        if is_room { self.topic(&place.channel).await } else { Ok(()) }
    }

    async fn topic(&self, channel: &str) -> Result<(), SendError> {
        let body = json!({ "channel": channel, "topic": topic(self.message) });
        self.accept("conversations.setTopic", &body, &[]).await
    }

    /// Invites the people who are not yet, one by one, so that one unknown id keeps nobody away.
    async fn invite(&mut self, channel: &str) -> Result<(), SendError> {
        let mut invited = Vec::new();
        let mut unknown = Vec::new();
        let known = &self.delivery.incident.invited;
        for person in self.delivery.invitees.iter().filter(|person| !known.contains(&person.id)) {
            let step = format!("invite {}", person.slack);
            let word = match self.done(&step) {
                Some(word) => word,
                None => {
                    let body = json!({ "channel": channel, "users": person.slack });
                    let word = match self.api.call(self.http, "conversations.invite", &body).await {
                        Ok(_) => "ok".to_owned(),
                        Err(Failed::Word(word)) => word,
                        Err(error) => return Err(error.of("conversations.invite")),
                    };
                    self.note(&step, &word);
                    word
                }
            };
            match word.as_str() {
                "ok" | "already_in_channel" => invited.push(person.id.clone()),
                word => unknown.push(format!("{} ({word})", person.id)),
            }
        }
        if !unknown.is_empty() {
            tracing::warn!(target = self.delivery.target, people = ?unknown, "people can't be invited");
        }
        if !invited.is_empty() {
            let target = self.delivery.target.to_owned();
            self.sent.events.push(Invited { target, people: invited }.into());
        }
        Ok(())
    }

    /// Calls a method, for which these words of an error mean that nothing is left to do.
    async fn accept(&self, method: &str, body: &Value, done: &[&str]) -> Result<(), SendError> {
        let step = format!("{method} {}", body["channel"].as_str().unwrap_or(""));
        if self.done(&step).is_some() {
            return Ok(());
        }
        match self.api.call(self.http, method, body).await {
            Ok(_) => {}
            Err(Failed::Word(word)) if done.contains(&word.as_str()) => {}
            Err(error) => return Err(error.of(method)),
        }
        self.note(&step, "done");
        Ok(())
    }

    fn done(&self, step: &str) -> Option<String> {
        self.slack.progress.of(self.delivery, step)
    }

    fn note(&self, step: &str, result: &str) {
        self.slack.progress.note(self.delivery, step, result);
    }

    fn remembered(&self, channel: &str, ts: &str) -> Option<Place> {
        let remote = self.delivery.remote;
        let (channel, ts) = (remote.get(channel)?.clone(), remote.get(ts)?.clone());
        Some(Place { channel, ts, is_new: false })
    }
}

impl Slack {
    /// The same at each attempt, so that `name_taken` means that an earlier attempt opened it.
    fn channel_name(&self, incident: &Incident) -> String {
        let day: String = rfc3339(incident.opened).chars().take(10).filter(char::is_ascii_digit).collect();
        let digits: String = incident.id.to_string().chars().take(ID_DIGITS).collect();
        format!("{}-{day}-{digits}", self.prefix)
    }
}

/// Whether an event changes what the first message and the topic show.
fn changes_state(event: &Event) -> bool {
    matches!(
        &event.what,
        What::StatusChanged(_)
            | What::UrgencyChanged(_)
            | What::DomainChanged(_)
            | What::OwnerAssigned(_)
            | What::Completed(_)
            | What::Reopened(_)
            | What::MergedInto(_)
            | What::TempFixDone(_)
            | What::RunbookStepDone(_)
    )
}

fn shown(value: &Value) -> String {
    inert(value.as_str().unwrap_or("?"), 60)
}

#[cfg(test)]
mod tests;
