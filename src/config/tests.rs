//! The configuration from file text, `-c` and flags.

use super::*;
use crate::scratch::Folder;

/// A configuration from a file's text and `-c` texts, without a file system.
fn typed(file: &str, command_line: &[&str]) -> Result<Config, StartError> {
    let flags = Flags {
        overrides: command_line.iter().map(|text| Override::parse(text).unwrap()).collect(),
        ..Flags::none()
    };
    with_flags(file, &flags)
}

fn with_flags(file: &str, flags: &Flags) -> Result<Config, StartError> {
    let source = LayerSource::File("/h/config.toml".into());
    let layers = vec![
        Layer::new(source, toml::from_str(file).expect("a test's TOML")),
        Layer::new(LayerSource::CommandLine, flags.table()),
    ];
    Config::from_layers("/h".into(), layers, /*trust*/ None)
}

#[test]
fn nothing_said_is_enough() {
    let config = Config::for_test("/h".into());
    assert_eq!(config.data_dir, Path::new("/h/app-server"));
    assert_eq!((config.model.as_deref(), config.model_provider.as_deref()), (None, None));
    assert_eq!(config.thread_unload_delay, Duration::from_secs(1800));
    assert_eq!(config.server, ServerConfig::usual());
    assert_eq!(typed("", &[]).unwrap().server, ServerConfig::usual());
    assert!(config.unknown_keys.is_empty() && config.effective.is_empty());
}

#[test]
fn every_key_of_the_file_lands_in_its_place() {
    let config = typed(
        r#"
        model = "m"
        model_provider = "mine"
        model_reasoning_effort = "high"
        model_context_window = 1000
        model_auto_compact_token_limit = 900
        developer_instructions = "d"
        show_raw_agent_reasoning = true
        instructions = "i"
        approval_policy = "on-request"
        sandbox_mode = "workspace-write"
        thread_unload_delay_secs = 0.5
        [sandbox_workspace_write]
        writable_roots = ["/a", "/b"]
        network_access = true
        exclude_tmpdir_env_var = true
        exclude_slash_tmp = true
        [model_providers.mine]
        name = "Mine"
        base_url = "http://localhost:1/v1"
        wire_api = "chat"
        env_key = "KEY"
        http_headers = { a = "b" }
        env_http_headers = { c = "D" }
        query_params = { e = "f" }
        request_max_retries = 0
        stream_max_retries = 1
        stream_idle_timeout_ms = 1500
        requires_openai_auth = true
        [model_providers.bare]
        [app_server]
        max_connections = 2
        drain_timeout_secs = 3
        require_auth = true
        message_bytes_max = 1000000
        outbox_bytes_max = 2000000
        outbox_messages_max = 500
        loaded_threads_bytes_max = 3000000
        approval_deadline_secs = 90
        commands_max = 20
        commands_per_connection_max = 10
        sandbox_best_effort = true
        [app_server.command_limits]
        cpu_secs = 5
        address_space_bytes = 4000000000
        open_files = 100
        processes = 50
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(config.unknown_keys, [""; 0]);
    assert_eq!((config.model.as_deref(), config.model_provider.as_deref()), (Some("m"), Some("mine")));
    assert_eq!(config.model_reasoning_effort.as_deref(), Some("high"));
    assert!(config.show_raw_agent_reasoning);
    assert_eq!((config.model_context_window, config.model_auto_compact_token_limit), (Some(1000), Some(900)));
    assert_eq!(
        (config.developer_instructions.as_deref(), config.instructions.as_deref()),
        (Some("d"), Some("i"))
    );
    assert_eq!(config.approval_policy, Some(ApprovalPolicy::OnRequest));
    assert_eq!(config.sandbox_mode, Some(SandboxMode::WorkspaceWrite));
    assert_eq!(config.thread_unload_delay, Duration::from_millis(500));
    let sandbox = SandboxWorkspaceWrite {
        writable_roots: vec!["/a".into(), "/b".into()],
        network_access: true,
        exclude_tmpdir_env_var: true,
        exclude_slash_tmp: true,
    };
    assert_eq!(config.sandbox_workspace_write, sandbox);
    let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let mine = ProviderConfig {
        file: None,
        name: "Mine".to_owned(),
        kind: ProviderKind::Http,
        base_url: Some("http://localhost:1/v1".to_owned()),
        wire_api: WireApi::Chat,
        env_key: Some("KEY".to_owned()),
        http_headers: map("a", "b"),
        env_http_headers: map("c", "D"),
        query_params: map("e", "f"),
        request_max_retries: 0,
        stream_max_retries: 1,
        stream_idle_timeout: Duration::from_millis(1500),
    };
    assert_eq!(config.model_providers["mine"], mine);
    let bare = &config.model_providers["bare"];
    assert_eq!((bare.name.as_str(), bare.request_max_retries, bare.stream_max_retries), ("bare", 4, 5));
    assert_eq!(bare.stream_idle_timeout, Duration::from_secs(300));
    let server = ServerConfig {
        max_connections: 2,
        drain_timeout: Some(Duration::from_secs(3)),
        require_auth: true,
        message_bytes_max: 1_000_000,
        outbox_bytes_max: 2_000_000,
        outbox_messages_max: 500,
        loaded_threads_bytes_max: 3_000_000,
        approval_deadline: Duration::from_secs(90),
        commands_max: 20,
        commands_per_connection_max: 10,
        sandbox_best_effort: true,
        command_limits: CommandLimits {
            cpu_secs: Some(5),
            address_space_bytes: Some(4_000_000_000),
            open_files: Some(100),
            processes: Some(50),
        },
    };
    assert_eq!(config.server, server);
    assert_eq!(server.page_bytes_max(), 1_000_000);
}

#[test]
fn a_flag_beats_an_override_which_beats_the_file() {
    let file =
        "model = \"file\"\n[app_server]\nmax_connections = 1\ndrain_timeout_secs = 1\nrequire_auth = false";
    let model = |flags: &Flags| with_flags(file, flags).unwrap().model.unwrap();
    let mut flags = Flags::none();
    assert_eq!(model(&flags), "file");
    for text in ["model=first", "model=second", "app_server.max_connections=2"] {
        flags.overrides.push(Override::parse(text).unwrap());
    }
    assert_eq!(model(&flags), "second");
    assert_eq!(with_flags(file, &flags).unwrap().server.max_connections, 2);
    flags.model = Some("flag".to_owned());
    flags.max_connections = Some(3);
    flags.drain_timeout = Some(Duration::from_millis(250));
    flags.require_auth = true;
    let config = with_flags(file, &flags).unwrap();
    assert_eq!(config.model.as_deref(), Some("flag"));
    assert_eq!(config.server.max_connections, 3);
    assert_eq!(
        (config.server.drain_timeout, config.server.require_auth),
        (Some(Duration::from_millis(250)), true)
    );
    // What `config/read` shows is what is in force.
    assert_eq!(config.effective["model"].as_str(), Some("flag"));
    assert_eq!(config.effective["app_server"]["max_connections"].as_integer(), Some(3));
}

#[test]
fn a_dotted_override_changes_one_key_of_a_table() {
    let file = "[model_providers.p]\nbase_url = \"http://a\"\nrequest_max_retries = 1";
    let config = typed(file, &["model_providers.p.request_max_retries=2", "model_provider=p"]).unwrap();
    let provider = &config.model_providers["p"];
    assert_eq!((provider.base_url.as_deref(), provider.request_max_retries), (Some("http://a"), 2));
}

#[test]
fn a_request_lays_its_keys_on_top() {
    let config = typed("model = \"a\"\nthread_unload_delay_secs = 5", &[]).unwrap();
    let over = [Override::new("thread_unload_delay_secs", Value::Integer(0)).unwrap()];
    let thread = config.with_request(&over).unwrap();
    assert_eq!((thread.model.as_deref(), thread.thread_unload_delay), (Some("a"), Duration::ZERO));
    let bad = [Override::new("model", Value::Integer(0)).unwrap()];
    let error = config.with_request(&bad).unwrap_err().to_string();
    assert!(error.contains("model (from the request's config): found the integer 0"), "{error}");
}

#[test]
fn policies_are_read_by_name() {
    for (name, policy) in [
        ("untrusted", ApprovalPolicy::Untrusted),
        ("on-failure", ApprovalPolicy::OnFailure),
        ("on-request", ApprovalPolicy::OnRequest),
        ("never", ApprovalPolicy::Never),
    ] {
        let config = typed("", &[&format!("approval_policy={name}")]).unwrap();
        assert_eq!(config.approval_policy, Some(policy));
    }
    let config = typed("approval_policy = { granular = { rules = true } }", &[]).unwrap();
    let switches = Table::from_iter([("rules".to_owned(), Value::Boolean(true))]);
    assert_eq!(config.approval_policy, Some(ApprovalPolicy::Granular(switches)));
    for (name, mode) in SandboxMode::CHOICES {
        assert_eq!(typed("", &[&format!("sandbox_mode={name}")]).unwrap().sandbox_mode, Some(*mode));
    }
}

#[test]
fn a_wrong_value_names_key_source_finding_and_what_is_accepted() {
    let from_file = "(from /h/config.toml): ";
    for (file, command_line, told) in [
        ("model = 3", &[][..], format!("model {from_file}found the integer 3, accepted is a string")),
        (
            "",
            &["model=3"],
            "model (from the command line, -c or a flag): found the integer 3, accepted".into(),
        ),
        // The stronger source is the one that is wrong, and only it is named.
        (
            "model = \"a\"",
            &["model=[]"],
            "model (from the command line, -c or a flag): found an array".into(),
        ),
        (
            "sandbox_mode = \"x\"",
            &[],
            format!(
                "sandbox_mode {from_file}found the string \"x\", accepted is one of \"read-only\", \"workspace-write\", \"danger-full-access\""
            ),
        ),
        (
            "approval_policy = \"x\"",
            &[],
            format!(
                "approval_policy {from_file}found the string \"x\", accepted is one of \"untrusted\", \"on-failure\", \"on-request\", \"never\", or a table {{ granular = {{ … }} }}"
            ),
        ),
        ("approval_policy = { other = 1 }", &[], format!("approval_policy {from_file}found a table, ")),
        ("app_server = 1", &[], format!("app_server {from_file}found the integer 1, accepted is a table")),
        (
            "[app_server]\nmax_connections = 0",
            &[],
            format!(
                "app_server.max_connections {from_file}found the integer 0, accepted is a whole number of at least 1"
            ),
        ),
        (
            "[app_server]\nmessage_bytes_max = 1",
            &[],
            format!(
                "app_server.message_bytes_max {from_file}found the integer 1, accepted is a whole number from 65536 to 268435456"
            ),
        ),
        (
            "[app_server]\ndrain_timeout_secs = -1",
            &[],
            format!(
                "app_server.drain_timeout_secs {from_file}found the integer -1, accepted is a number of seconds"
            ),
        ),
        (
            "thread_unload_delay_secs = \"1\"",
            &[],
            format!("thread_unload_delay_secs {from_file}found the string \"1\""),
        ),
        (
            "[sandbox_workspace_write]\nnetwork_access = 1",
            &[],
            format!(
                "sandbox_workspace_write.network_access {from_file}found the integer 1, accepted is true or false"
            ),
        ),
        (
            "[sandbox_workspace_write]\nwritable_roots = [\"a\"]",
            &[],
            format!("sandbox_workspace_write.writable_roots {from_file}\"a\" is not an absolute path"),
        ),
        (
            "[model_providers.\"a b\"]\nwire_api = \"soap\"",
            &[],
            format!(
                "model_providers.\"a b\".wire_api {from_file}found the string \"soap\", accepted is one of \"responses\", \"chat\""
            ),
        ),
        (
            "[model_providers.a]\nhttp_headers = { x = 1 }",
            &[],
            format!("model_providers.a.http_headers {from_file}found table, accepted is a table of strings"),
        ),
        (
            "[model_providers.a]\nrequest_max_retries = 101",
            &[],
            format!(
                "model_providers.a.request_max_retries {from_file}found the integer 101, accepted is a whole number from 0 to 100"
            ),
        ),
        (
            "[model_providers]\na = 1",
            &[],
            format!("model_providers.a {from_file}found the integer 1, accepted is a table"),
        ),
        (
            "[model_providers.offline]",
            &[],
            format!("model_providers.offline {from_file}this provider is built in"),
        ),
        (
            "model_provider = \"b\"\n[model_providers.a]",
            &[],
            format!("model_provider {from_file}there is no provider \"b\"; there are offline, openai, a ("),
        ),
    ] {
        let error = typed(file, command_line).expect_err(file).to_string();
        assert!(
            error.starts_with(&format!("configuration: {told}")),
            "{file} {command_line:?}:\n{error}\n{told}"
        );
    }
}

#[test]
fn built_in_providers_are_known() {
    for id in [PROVIDER_OFFLINE, PROVIDER_OPENAI] {
        assert_eq!(
            typed("", &[&format!("model_provider={id}")]).unwrap().model_provider.as_deref(),
            Some(id)
        );
    }
}

#[test]
fn unknown_keys_are_listed_and_do_no_harm() {
    let file = "zeta = 1\n[tui]\ntheme = \"x\"\n[app_server]\ncolour = 1\n[model_providers.a]\nodd = 1";
    let config = typed(file, &["sandbox_workspace_write.more=1"]).unwrap();
    let wanted =
        ["app_server.colour", "model_providers.a.odd", "sandbox_workspace_write.more", "tui", "zeta"];
    assert_eq!(config.unknown_keys, wanted);
    assert_eq!(config.effective["zeta"].as_integer(), Some(1));
}

#[test]
fn secrets_are_not_in_debug_output() {
    let file = "[model_providers.a]\nhttp_headers = { x = \"s3cret\" }\nquery_params = { k = \"s3cret\" }\nexperimental_bearer_token = \"s3cret\"";
    let error = typed("", &["model_providers.a.http_headers=s3cret"]).unwrap_err().to_string();
    assert!(error.contains("http_headers") && !error.contains("s3cret"), "{error}");
    let flags = Flags { overrides: vec![Override::parse("a.token=s3cret").unwrap()], ..Flags::none() };
    let shown = format!("{:?} {flags:?}", with_flags(file, &flags).unwrap());
    assert!(shown.contains("ProviderConfig") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn the_file_in_the_home_is_read() {
    let folder = Folder::new();
    let flags = Flags { home: Some("here".into()), ..Flags::none() };
    let home = folder.at("here");
    let load = || Config::load(&flags, &|_| None, folder.path());
    assert_eq!(load().expect("no file is no error").home, home);
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("config.toml"), "model = \"m\"").unwrap();
    assert_eq!(load().unwrap().model.as_deref(), Some("m"));
    std::fs::write(home.join("config.toml"), "model = \"m\"\n  oops").unwrap();
    let error = load().unwrap_err().to_string();
    let wanted = format!("configuration: {}:2:7: ", home.join("config.toml").display());
    assert!(error.starts_with(&wanted), "{error}");
    std::fs::remove_file(home.join("config.toml")).unwrap();
    std::fs::create_dir(home.join("config.toml")).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(error.starts_with("configuration: cannot read") && error.contains("config.toml"), "{error}");
}
