//! The connector against the stand-in of Slack, with faults by seed.
use super::*;
use crate::notify::delivery::Invitee;
use crate::notify::trial::{Trial, portal};
use remote_sim::{Fault, Faults, Posted, Server};
use zenei_detect::Urgency;
use zenei_incident::Status;
use zenei_incident::event::{DeliveryDuplicated, Note, UrgencyChanged};
use zenei_incident::message::Lang;

const TOKEN: &str = "xoxb-canary";
const HOOK: &str = "services/T1/B1/canary";
/// Mentions, links, formatting, escapes, directions, a formula.
const HOSTILE: &str =
    "<!here> <@U1> <!channel|x> @channel @here <https://evil.example|ok> &lt;!here&gt; *b* `c`\u{202e}\u{0}\r\n=1+1";

async fn server(faults: Faults) -> Server<remote_sim::Slack> {
    let mut slack = remote_sim::Slack::new(TOKEN, &["general", "dev_前衛"]);
    slack.page_max = 2;
    slack.users.extend(["U1".to_owned(), "U2".to_owned()]);
    slack.hooks.insert(HOOK.to_owned());
    Server::start(slack, faults).await.unwrap()
}

fn slack(base: &str) -> Slack {
    Slack {
        way: Way::Api(Api { base: base.to_owned(), token: Secret::from(TOKEN) }),
        inquiry_channel: Some("#dev_前衛".to_owned()),
        inquiry_id: tokio::sync::OnceCell::new(),
        prefix: PREFIX.to_owned(),
        is_private: false,
        signing_secret: Some(Secret::from("signing")),
        progress: Progress::default(),
        looks_up: true,
    }
}

fn by_hook(base: &str) -> Slack {
    Slack { way: Way::Hook(Secret::from(format!("{base}/{HOOK}").as_str())), ..slack(base) }
}

fn http() -> Http {
    Http::new(true).unwrap()
}

fn trial(urgency: Urgency, title: &str) -> Trial {
    let person = |id: &str, slack: &str| Invitee { id: id.into(), slack: slack.into() };
    let invitees = vec![person("sato", "U1"), person("gone", "U9"), person("suzuki", "U2")];
    Trial { invitees, ..Trial::new(urgency, title) }
}

async fn carried(slack: &Slack, urgency: Urgency, forgets: bool) -> Trial {
    let http = http();
    let mut trial = Trial { forgets, ..trial(urgency, "つまみの負荷が増えています") };
    trial.send(async |delivery| slack.send(&http, delivery).await).await.unwrap();
    let note = Note { text: "現地確認中".into(), by: "sato".into() };
    trial.then(note).send(async |delivery| slack.send(&http, delivery).await).await.unwrap();
    trial.status(Status::Fixing).send(async |delivery| slack.send(&http, delivery).await).await.unwrap();
    trial
}

/// The texts of a channel's messages that are ours, by the key in their metadata.
fn keys(messages: &[&Posted]) -> Vec<String> {
    messages.iter().map(|one| one.metadata["event_payload"]["key"].as_str().unwrap_or("?").to_owned()).collect()
}

#[tokio::test]
async fn after_each_of_200_fault_schedules_there_is_one_channel_and_each_message_once() {
    for seed in 0..200 {
        let server = server(Faults { retry_after_s: 0, slow: 0, ..Faults::mixed(seed) }).await;
        let urgency = if seed % 3 == 0 { Urgency::Medium } else { Urgency::High };
        let trial = carried(&slack(server.base_url()), urgency, seed % 4 == 0).await;
        let key = format!("zenei-{}", trial.incident.id);
        server.with(|kept| {
            let inquiry = keys(&kept.in_channel("dev_前衛"));
            if urgency == Urgency::Medium {
                assert_eq!(kept.channels.len(), 2, "seed {seed}");
                assert_eq!(inquiry, [format!("{key}/inquiry"), format!("{key}/1"), format!("{key}/2")], "seed {seed}");
                return;
            }
            assert_eq!(kept.channels.len(), 3, "seed {seed}");
            let room = &kept.channels[2];
            assert_eq!(room.name, format!("inc-19700101-{}", &trial.incident.id.to_string()[..8]));
            assert_eq!(
                keys(&kept.in_channel(&room.id)),
                [format!("{key}/root"), format!("{key}/1"), format!("{key}/2")]
            );
            assert_eq!(inquiry, [format!("{key}/inquiry")], "seed {seed}");
            assert!(room.members.iter().eq(["U1", "U2"]) && room.pins.len() == 1, "seed {seed}: {room:?}");
            assert!(room.topic.contains("修正中"), "{}", room.topic);
        });
    }
}

#[tokio::test]
async fn without_the_lookup_the_same_faults_leave_duplicates() {
    let mut doubled = 0;
    for seed in 0..20 {
        let server = server(Faults { retry_after_s: 0, slow: 0, ..Faults::mixed(seed) }).await;
        let without = Slack { looks_up: false, ..slack(server.base_url()) };
        carried(&without, Urgency::Medium, false).await;
        doubled += usize::from(server.with(|kept| kept.messages.len()) > 3);
    }
    assert!(doubled >= 10, "{doubled} of 20 schedules left duplicates");
}

#[tokio::test]
async fn an_urgent_incident_opens_a_channel_with_its_people_and_tells_the_inquiry_channel() {
    let server = server(Faults::none()).await;
    let trial = carried(&slack(server.base_url()), Urgency::Highest, false).await;
    let [What::ChannelOpened(opened), What::Invited(invited)] = trial.back.as_slice() else {
        panic!("{:?}", trial.back)
    };
    assert_eq!(opened.channel, server.with(|kept| format!("#{}", kept.channels[2].name)));
    assert_eq!(invited.people, ["sato", "suzuki"], "the unknown id keeps nobody away");
    let post = server.with(|kept| kept.in_channel("dev_前衛")[0].clone());
    assert!(post.text.contains("【自動検知】") && post.text.contains("最高"), "{}", post.text);
    // The one active thing in it is our own link to the channel; the state is that of the latest event.
    assert_eq!(post.active(), [format!("#{}", trial.remote["channel"])]);
    assert!(post.blocks.to_string().contains("修正中"));
    let thread = server.with(|kept| kept.in_channel(&trial.remote["channel"])[2].clone());
    assert_eq!(thread.thread_ts.as_ref(), trial.remote.get("root"));
    assert!(thread.text.contains("sato") && thread.text.contains("修正中"), "{}", thread.text);
}

#[tokio::test]
async fn who_is_a_stakeholder_of_the_higher_urgency_alone_is_invited_when_it_rises() {
    let server = server(Faults::none()).await;
    let (target, http) = (slack(server.base_url()), http());
    let mut trial = trial(Urgency::High, "a door");
    let (sato, suzuki) = (trial.invitees[0].clone(), trial.invitees[2].clone());
    trial.invitees = vec![sato.clone()];
    trial.send(async |delivery| target.send(&http, delivery).await).await.unwrap();
    trial.incident.invited.insert(sato.id.clone());
    trial.back.clear();
    trial.invitees = vec![sato, suzuki];
    let raised = UrgencyChanged { to: Urgency::Highest, reason: "ten doors".into(), ground: None, by: None };
    trial.then(raised).send(async |delivery| target.send(&http, delivery).await).await.unwrap();
    assert!(
        matches!(trial.back.as_slice(), [What::Invited(invited)] if invited.people == ["suzuki"]),
        "{:?}",
        trial.back
    );
    trial.back.clear();
    trial.status(Status::Fixing).send(async |delivery| target.send(&http, delivery).await).await.unwrap();
    assert!(trial.back.is_empty(), "a status invites nobody");
}

#[tokio::test]
async fn hostile_text_is_inert_in_every_message_topic_and_language() {
    for lang in [Lang::Ja, Lang::En] {
        let server = server(Faults::none()).await;
        let http = http();
        for target in [slack(server.base_url()), by_hook(server.base_url())] {
            for urgency in [Urgency::Medium, Urgency::Highest] {
                let mut trial = trial(urgency, HOSTILE);
                trial.lang = lang;
                for text in [&mut trial.incident.why, &mut trial.incident.urgency_reason] {
                    *text = HOSTILE.repeat(40);
                }
                trial.incident.devices.insert(HOSTILE.to_owned());
                trial.service = HOSTILE.to_owned();
                trial.send(async |delivery| target.send(&http, delivery).await).await.unwrap();
                let note = Note { text: HOSTILE.repeat(40), by: HOSTILE.into() };
                trial.then(note).send(async |delivery| target.send(&http, delivery).await).await.unwrap();
                trial.status(Status::Fixing).send(async |delivery| target.send(&http, delivery).await).await.unwrap();
            }
        }
        server.with(|kept| {
            assert!(kept.messages.len() >= 10);
            for message in &kept.messages {
                let all = format!("{}{}", message.text, message.blocks);
                let active: Vec<String> =
                    message.active().into_iter().filter(|inside| !inside.starts_with("#C")).collect();
                assert_eq!(active, Vec::<String>::new());
                assert!(!all.contains("@channel") && !all.contains("@here"), "{all}");
                assert!(!all.contains(['\u{202e}', '\u{0}', '\r']) && !all.contains("\\u0000"), "{all}");
                assert!(!message.text.contains('\n'), "{:?}", message.text);
            }
            let topics = kept.channels.iter().map(|channel| channel.topic.as_str()).collect::<String>();
            assert!(!topics.contains(['<', '>', '@', '\n']) && topics.contains("&lt;!here&gt;"), "{topics}");
        });
    }
}

#[tokio::test]
async fn a_webhook_doubles_at_most_once_and_reports_it() {
    let http = http();
    let cases: [(&[Fault], usize, usize); 6] = [
        (&[], 1, 0),
        (&[Fault::Limited, Fault::Limited], 1, 0),
        // It was carried out, and then sent again.
        (&[Fault::Dropped], 2, 1),
        (&[Fault::FailedLate], 2, 1),
        // It was not carried out; nobody can know.
        (&[Fault::Failed], 1, 1),
        (&[Fault::Dropped, Fault::Dropped, Fault::Dropped], 2, 1),
    ];
    for (faults, messages, reports) in cases {
        let server = server(Faults { retry_after_s: 0, ..Faults::none() }).await;
        server.then(faults.iter().copied());
        let slack = by_hook(server.base_url());
        let mut trial = trial(Urgency::High, "t");
        trial.send(async |delivery| slack.send(&http, delivery).await).await.unwrap();
        assert_eq!(server.with(|kept| kept.messages.len()), messages, "{faults:?}");
        let reported = trial.back.iter().filter(|what| matches!(what, What::DeliveryDuplicated(_))).count();
        assert_eq!((reported, trial.back.len()), (reports, reports), "{faults:?}");
        assert!(!format!("{:?}{slack:?}", trial.back).contains("canary"));
    }
}

#[tokio::test]
async fn a_hook_is_sent_no_third_message_where_two_processes_died_while_they_sent() {
    for (unanswered, messages, reports) in [(0, 1, 0), (1, 1, 1), (2, 0, 1), (7, 0, 1)] {
        let server = server(Faults::none()).await;
        let slack = by_hook(server.base_url());
        let mut trial = Trial { unanswered, ..trial(Urgency::High, "t") };
        trial.send(async |delivery| slack.send(&http(), delivery).await).await.unwrap();
        let posted = server.with(|kept| kept.messages.len());
        assert_eq!((posted, trial.back.len()), (messages, reports), "{unanswered} before");
    }
}

#[tokio::test]
async fn slacks_refusals_say_what_to_do_and_never_the_token() {
    let http = http();
    for (scope, wanted) in [("chat.postMessage", "add the scope"), ("conversations.create", "add the scope")] {
        let server = server(Faults::none()).await;
        server.with(|kept| kept.without_scope.insert(scope.to_owned()));
        let slack = slack(server.base_url());
        let refused = trial(Urgency::High, "t").send(async |delivery| slack.send(&http, delivery).await).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, SendError::Never { why } if why.contains(wanted) && why.contains(scope)),
            "{refused}"
        );
    }
    let server = server(Faults::none()).await;
    let wrong = Slack {
        way: Way::Api(Api { base: server.base_url().to_owned(), token: Secret::from("xoxb-canary-wrong") }),
        ..slack(server.base_url())
    };
    let refused = wrong.check(&http).await.unwrap_err();
    assert!(refused.to_string().contains("invalid_auth"), "{refused}");
    let lost = Slack { inquiry_channel: Some("#nowhere".into()), ..slack(server.base_url()) };
    let unseen = lost.check(&http).await.unwrap_err();
    assert!(unseen.to_string().contains("invite"), "{unseen}");
    assert!(!format!("{refused:?}{refused}{unseen}{wrong:?}{lost:?}").contains("canary"));
}

#[tokio::test]
async fn a_check_posts_nothing_and_a_test_posts_one_marked_message() {
    let server = server(Faults::none()).await;
    let (http, slack) = (http(), slack(server.base_url()));
    let said = slack.check(&http).await.unwrap();
    assert!(said.contains("zenei") && server.with(|kept| kept.messages.is_empty()), "{said}");
    slack.test(&http, EngineTime(0)).await.unwrap();
    by_hook(server.base_url()).test(&http, EngineTime(0)).await.unwrap();
    let texts = server.with(|kept| kept.messages.iter().map(|one| one.text.clone()).collect::<Vec<_>>());
    assert!(texts.len() == 2 && texts.iter().all(|text| text.starts_with("[zenei test]")), "{texts:?}");
}

#[test]
fn what_slack_gave_rise_to_is_not_told_to_slack() {
    let base = trial(Urgency::High, "t").last;
    let said = |what: What| wants(&Event { what, ..base.clone() });
    assert!(!said(ChannelOpened { target: "room".into(), channel: "c".into(), url: String::new() }.into()));
    assert!(!said(Invited { target: "room".into(), people: Vec::new() }.into()));
    assert!(!said(DeliveryDuplicated { target: "room".into(), why: String::new() }.into()));
    assert!(said(Note { text: "a".into(), by: "b".into() }.into()));
}

#[tokio::test]
async fn a_hook_that_does_not_answer_ok_took_nothing_and_is_tried_again() {
    let (page, hook) = (portal("<html>log in</html>").await, portal("ok").await);
    let refused = by_hook(&page).test(&http(), EngineTime(1)).await;
    assert!(matches!(&refused, Err(SendError::Again { why, .. }) if why.contains("`ok` was expected")), "{refused:?}");
    assert_eq!(by_hook(&hook).test(&http(), EngineTime(1)).await.unwrap(), "HTTP 200: ok");
}
