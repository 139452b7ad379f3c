use std::io::Write as _;

use super::*;

fn given(name: &str, value: &str) -> Override {
    Override { name: name.into(), value: value.into(), flag: format!("--set {name}={value}") }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

fn shown(loaded: &Loaded, name: &str) -> (String, String) {
    let setting = loaded.settings.iter().find(|s| s.entry.name() == name).expect("a setting");
    (setting.value.text.clone(), setting.source.to_string())
}

/// What reading a file gives, its own path taken out of the errors.
fn errors_of(text: &str) -> Vec<String> {
    let file = file(text);
    let inputs = Inputs { file: Some(file.path().into()), ..Inputs::default() };
    let path = file.path().display().to_string();
    let errors = load(&inputs).expect_err("something is wrong");
    errors.iter().map(|error| error.replace(&path, "F")).collect()
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = file(
        "[ingress]\nlisten = \"127.0.0.1:1\"\n\n[node]\ndata = \"f\"\nworker-threads = 3\n\n[log]\nfilter=\"warn\"\n",
    );
    let inputs = Inputs {
        file: Some(file.path().into()),
        environment: vec![
            variable("STEAD_NODE_DATA", "e"),
            variable("STEAD_INGRESS_LISTEN", "127.0.0.1:2"),
        ],
        overrides: vec![given("ingress.listen", "127.0.0.1:3")],
    };
    let loaded = load(&inputs).expect("good");
    let path = file.path().display();
    for (name, value, source) in [
        ("ingress.listen", "127.0.0.1:3", "--set ingress.listen=127.0.0.1:3".to_owned()),
        ("node.data", "e", "STEAD_NODE_DATA".to_owned()),
        ("node.worker-threads", "3", format!("{path}:6")),
        ("log.filter", "warn", format!("{path}:9")),
        ("node.partitions", "64", "default".to_owned()),
    ] {
        assert_eq!(shown(&loaded, name), (value.to_owned(), source), "{name}");
    }
    let config = NodeConfig::from_settings(&loaded.settings);
    assert_eq!(config.ingress.listen.port(), 3);
    assert_eq!(config.worker_threads(), 3);
}

#[test]
fn an_alias_in_the_environment_yields_to_the_whole_name() {
    let mut environment = vec![variable("STEAD_ADMIN", "http://a:1")];
    let loaded =
        load(&Inputs { environment: environment.clone(), ..Inputs::default() }).expect("good");
    assert_eq!(shown(&loaded, "client.admin"), ("http://a:1".into(), "STEAD_ADMIN".into()));
    environment.push(variable("STEAD_CLIENT_ADMIN", "http://b:1"));
    let loaded = load(&Inputs { environment, ..Inputs::default() }).expect("good");
    assert_eq!(shown(&loaded, "client.admin"), ("http://b:1".into(), "STEAD_CLIENT_ADMIN".into()));
}

#[test]
fn errors_name_the_line_and_the_nearest_key() {
    for (text, expected) in [
        (
            "[ingress]\nlistn = \"x\"\n",
            "F:2: there is no setting \"listn\" in [ingress]; the nearest is listen",
        ),
        ("\n[ingres]\n", "F:2: there is no section [ingres]; the nearest is [ingress]"),
        (
            "[node]\nstop_timeout = \"1s\"\n",
            "F:2: there is no setting \"stop_timeout\" in [node]; write it with hyphens: stop-timeout",
        ),
        (
            "[node]\nsegment-size = \"1MiB\"\n",
            "F:2: there is no setting \"segment-size\" in [node]; the nearest is journal.segment-size",
        ),
        (
            "[node]\npartitions = 0\n",
            "F:2: node.partitions: 0 is out of bounds: it is from 1 to 4096",
        ),
        (
            "[node]\npartitions = \"8\"\n",
            "F:2: node.partitions: it is a whole number, without quotes",
        ),
        (
            "[node]\nstop-timeout = 10\n",
            "F:2: node.stop-timeout: it is a span of time in quotes, as in \"10s\"",
        ),
        ("node = 3\n", "F:1: node is a section: write [node] and its settings below"),
        (
            "[ingress]\nlisten = \"127.0.0.1\"\n",
            "F:2: ingress.listen: \"127.0.0.1\" is no address to listen on: the port is missing",
        ),
        (
            "[requests]\nbody-size-max = \"1 parsec\"\n",
            "F:2: requests.body-size-max: \"parsec\" is no unit of size; there are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB",
        ),
        (
            "[cluster]\nseeds = \"stead-peers:8082, 10.0.0.1\"\n",
            "F:2: cluster.seeds: \"10.0.0.1\" has no port: write one, as in 10.0.0.1:8082 or [fd00::1]:8082",
        ),
        (
            "[cluster]\nbootstrap = \"create\"\n",
            "F:2: cluster.bootstrap: \"create\" is neither found nor join",
        ),
        (
            "[log]\nformat = \"xml\"\n",
            "F:2: log.format: \"xml\" is no log format; there are text and json",
        ),
    ] {
        assert_eq!(errors_of(text), [expected], "{text:?}");
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let errors = errors_of("[node]\npartitions = 0\nnope = 1\n[what]\n");
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let errors = errors_of("[node]\ndata = \n");
    assert!(errors.iter().all(|error| error.starts_with("F:2: ")), "{errors:?}");
}

#[test]
fn a_named_file_has_to_be_there() {
    let inputs = Inputs { file: Some("/nonexistent/stead.toml".into()), ..Inputs::default() };
    let errors = load(&inputs).expect_err("it isn't there");
    assert!(errors[0].starts_with("/nonexistent/stead.toml could not be read: "), "{errors:?}");
}

#[test]
fn a_bad_value_in_the_environment_names_the_variable() {
    let inputs = Inputs {
        environment: vec![variable("STEAD_NODE_PARTITIONS", "many")],
        ..Inputs::default()
    };
    let errors = load(&inputs).expect_err("it is no number");
    assert_eq!(errors, ["STEAD_NODE_PARTITIONS: \"many\" is no whole number from 0 to 65535"]);
}

#[test]
fn strange_variables_are_warned_of_and_those_of_kubernetes_are_not() {
    let inputs = Inputs {
        environment: vec![
            variable("STEAD_INGRESS_LISTN", "x"),
            variable("STEAD_INGRESS_PORT", "tcp://10.0.0.1:8080"),
            variable("STEAD_INGRESS_SERVICE_HOST", "10.0.0.1"),
            variable("STEAD_SERVICE_HOST", "10.0.0.1"),
        ],
        ..Inputs::default()
    };
    let loaded = load(&inputs).expect("good");
    assert_eq!(
        loaded.warnings,
        ["STEAD_INGRESS_LISTN is no setting and was ignored; the nearest is STEAD_INGRESS_LISTEN"]
    );
}

#[test]
fn an_unknown_override_is_refused_with_the_nearest() {
    let inputs = Inputs { overrides: vec![given("ingress.listn", "x")], ..Inputs::default() };
    let errors = load(&inputs).expect_err("no such setting");
    assert_eq!(
        errors,
        ["--set ingress.listn=x: there is no setting \"ingress.listn\"; the nearest is listen"]
    );
}

#[test]
fn the_example_uncommented_is_the_default_configuration() {
    let setting =
        |line: &str| line.strip_prefix("# ").filter(|l| l.contains(" = ")).map(str::to_owned);
    let text: Vec<String> = example()
        .lines()
        .skip(3)
        .map(|line| setting(line).unwrap_or_else(|| line.to_owned()))
        .collect();
    let file = file(&text.join("\n"));
    let loaded =
        load(&Inputs { file: Some(file.path().into()), ..Inputs::default() }).expect("good");
    for setting in loaded.settings.iter() {
        assert!(
            matches!(setting.source, Source::File { .. }),
            "{} is missing",
            setting.entry.name()
        );
    }
    let defaults = NodeConfig::from_settings(&Settings::defaults());
    assert_eq!(NodeConfig::from_settings(&loaded.settings), defaults);
}
