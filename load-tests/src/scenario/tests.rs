//! What a scenario's text may say.

use super::kind::KINDS;
use super::*;

#[test]
fn settings_are_read_and_overridden_by_name() {
    let text = "kind = \"orders\"\nrounds = 3\nshapes = [\"64x16\", \"16x1\"]\n[mix]\nkeep = 5\n[goals]\n\"64x16 throughput / E\" = { at_least = 0.6 }";
    let overrides = ["rounds=5", "mix.keep=7", "shapes=[\"256x1\"]", "subscribe=executions"].map(String::from);
    let scenario = Scenario::parse("test", text, &overrides).unwrap();
    assert_eq!(scenario.general.rounds, 5);
    assert_eq!(scenario.goal("64x16 throughput / E"), Some(Goal::AtLeast(0.6)));
    let Kind::Orders(orders) = scenario.kind else { panic!("not orders") };
    assert_eq!((orders.shapes[0].to_string().as_str(), orders.shapes.len()), ("256x1", 1));
    assert_eq!((orders.mix.keep, orders.subscribe.as_deref()), (Some(7), Some("executions")));
    assert!(scenario.settings.contains("keep = 7"));
}

#[test]
fn a_goal_is_overridden_with_its_name_quoted_or_not() {
    for name in ["\"64x16 throughput / E\"", "64x16 throughput / E"] {
        let scenario = Scenario::parse("test", "kind = \"orders\"", &[format!("goals.{name}={{ at_least = 0.5 }}")]);
        assert_eq!(scenario.unwrap().goal("64x16 throughput / E"), Some(Goal::AtLeast(0.5)));
    }
}

#[test]
fn settings_are_kept_in_full_and_say_the_same_when_they_are_read_again() {
    for kind in KINDS {
        let text = format!("kind = \"{kind}\"\n[goals]\nshare = {{ at_most = 2.0 }}");
        let kept = Scenario::parse("test", &text, &[]).unwrap().settings;
        assert!(kept.contains("patience = 10.0") && kept.contains(&format!("kind = \"{kind}\"")), "{kept}");
        assert_eq!(Scenario::parse("test", &kept, &[]).unwrap().settings, kept);
    }
    let kept = Scenario::parse("test", "kind = \"overload\"", &[]).unwrap().settings;
    for default in ["shape = \"64x16\"", "factor = 2.0", "quantity = \"0.00010000\"", "price = \"100.0\""] {
        assert!(kept.contains(default), "{kept}");
    }
}

#[test]
fn single_events_are_measured_first_whatever_is_asked_for() {
    for (asked, measured) in [(vec![16, 1], vec![1, 16]), (vec![16], vec![1, 16]), (vec![1, 8, 8], vec![1, 8])] {
        assert_eq!(FanOut { ahead: asked, ..FanOut::default() }.batches(), measured);
    }
}

#[test]
fn what_no_scenario_can_mean_is_refused_by_name() {
    let cases = [
        ("rounds = 1", "kind"),
        ("kind = \"orders\"\nconections = 3", "conections"),
        ("kind = \"fan_out\"\nshapes = []", "shapes"),
        ("kind = \"orders\"\nround = 3", "rounds"),
        ("kind = \"orders\"\n[mix]\nkep = 3", "`keep`, `market_percent`, `amend_percent` in `mix`"),
        ("kind = \"storm\"", "storm"),
        ("kind = \"fanout\"", "fan_out"),
        ("kind = \"orders\"\nseconds = 0", "seconds must be 0.001 to a day"),
        ("kind = \"orders\"\nseconds = 1e-10", "seconds"),
        ("kind = \"orders\"\nseconds = 86401", "seconds"),
        ("kind = \"orders\"\nwarm_up = 601", "warm_up"),
        ("kind = \"orders\"\nshapes = [\"0x1\"]", "0x1"),
        ("kind = \"orders\"\nshapes = []", "shapes"),
        ("kind = \"fan_out\"\nahead = []", "ahead"),
        ("kind = \"fan_out\"\nahead = [1, 0]", "not 0"),
        ("kind = \"fan_out\"\nchannel = \"approvals\"\nahead = [51]", "1 to 50"),
        ("kind = \"orders\"\n[mix]\nquantity = \"many\"", "many"),
        ("kind = \"idle\"\nrounds = 0", "rounds"),
        ("kind = \"idle\"\npatience = -1.0", "patience"),
        ("kind = \"idle\"\npatience = nan", "patience"),
        ("kind = \"slow_consumers\"\nstall = -0.1", "stall"),
        ("kind = \"slow_consumers\"\nstall = nan", "stall"),
        ("kind = \"slow_consumers\"\nstall = 1e-10", "stall"),
        ("kind = \"slow_consumers\"\nping = 0.0", "ping"),
        ("kind = \"slow_consumers\"\nping = 1e-10", "ping"),
        ("kind = \"dashboards\"\nevents = 1e12", "events"),
        ("kind = \"dashboards\"\nevents = 0.0", "events"),
        ("kind = \"dashboards\"\ndashboards = 0", "dashboards is at least 1"),
        ("kind = \"orders\"\nrate = 0.0", "rate: "),
        ("kind = \"orders\"\nwithdrawals = 51", "withdrawals is at most 50"),
        ("kind = \"orders\"\n[mix]\namend_percent = 5", "amend_percent needs keep"),
        ("kind = \"storages\"\n[mix]\nlevels = 0", "mix: levels"),
        ("kind = \"sweep\"\nconnections = 0", "connections"),
        ("kind = \"sweep\"\nsteps = 0", "steps"),
        ("kind = \"sweep\"\nfactor = 1.0", "factor"),
        ("kind = \"sweep\"\nfrom = 6e6", "from: "),
        ("kind = \"overload\"\nfactor = nan", "factor"),
        ("kind = \"fan_out\"\nconnections = 0", "connections"),
        ("kind = \"reconnect\"\nconnections = 0", "connections"),
        ("kind = \"reconnect\"\nwaves = 0", "waves"),
        ("kind = \"reconnect\"\nrate = -1.0", "rate: "),
        ("kind = \"idle\"\nconnections = 0", "connections"),
        ("kind = \"slow_consumers\"\nstalled = 0", "stalled"),
        ("kind = \"slow_consumers\"\nrate = 0.0", "rate: "),
        ("kind = \"reconnect\"\nkeys = 2", "keys: this kind takes one"),
        ("kind = \"fan_out\"\nkeys = 2", "keys: this kind takes one"),
        ("kind = \"dashboards\"\nkeys = 2", "keys: withdrawals take one"),
        ("kind = \"overload\"\nkeys = 2", "keys: withdrawals take one"),
        ("kind = \"orders\"\nkeys = 2\nwithdrawals = 1", "keys: withdrawals take one"),
        ("kind = \"idle\"\nbaselines = true", "baselines: "),
        ("kind = \"half_load\"\nbaselines = true", "baselines: "),
    ];
    for (text, named) in cases {
        let error = Scenario::parse("test", text, &[]).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert!(Scenario::parse("test", "kind = \"idle\"", &["rounds".into()]).is_err());
}
