//! The flags of every verb that talks to a node, and what they lead to.

use std::path::PathBuf;

use clap::Args;

use crate::{
    client::{Client, NodeUrl},
    config::{self, ClientSection, Inputs, Kind as _, Override},
    failure::Failure,
    local,
    output::Screen,
};

/// Where the node is, and for whom the result is.
#[derive(Debug, Clone, Default, Args)]
pub struct ConnectionFlags {
    /// The node's admin address [env: STEAD_ADMIN] [default: a node of `stead up`, or
    /// http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub admin: Option<String>,
    /// The node's ingress address [env: STEAD_INGRESS] [default: a node of `stead up`, or
    /// http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub ingress: Option<String>,
    /// How long an answer may take [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Connection")]
    pub timeout: Option<String>,
    /// The configuration file [env: STEAD_CONFIG] [default: stead.toml if it is there]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub config: Option<PathBuf>,
    /// Print the result as JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// A node to talk to, and a screen to show the result on.
pub struct Connection {
    /// Where results go.
    pub screen: Screen,
    /// The admin server.
    pub admin: Client,
    /// The ingress.
    pub ingress: Client,
    /// How they are reached.
    pub settings: ClientSection,
}

impl ConnectionFlags {
    /// Reads the configuration and makes the clients; nothing is sent yet.
    pub fn open(&self) -> Result<Connection, Failure> {
        let given =
            [("admin", &self.admin), ("ingress", &self.ingress), ("timeout", &self.timeout)];
        let overrides = given
            .into_iter()
            .filter_map(|(key, value)| {
                Some(Override {
                    name: format!("client.{key}"),
                    value: value.clone()?,
                    flag: format!("--{key}"),
                })
            })
            .collect();
        let inputs = Inputs::of_process(self.config.clone(), overrides);
        let loaded = config::load(&inputs).map_err(|wrong| configuration_failure(&wrong))?;
        let mut settings = ClientSection::from_settings(&loaded.settings);
        let nobody_said = |field| loaded.settings.is_default("client", field);
        // Where nobody says otherwise, it is the cluster that `stead up` runs here.
        if nobody_said("admin")
            && nobody_said("ingress")
            && let Some(node) = local::discovered()?
        {
            let url = |address: std::net::SocketAddr| {
                NodeUrl::parse(&address.to_string()).map_err(Failure::failed)
            };
            settings.admin = url(node.admin)?;
            settings.ingress = url(node.ingress)?;
        }
        Ok(Connection {
            screen: Screen::of_process(self.json),
            admin: Client::new(settings.admin.clone(), settings.timeout, "--admin or STEAD_ADMIN"),
            ingress: Client::new(
                settings.ingress.clone(),
                settings.timeout,
                "--ingress or STEAD_INGRESS",
            ),
            settings,
        })
    }
}

/// The failure that tells all that is wrong with the configuration.
pub fn configuration_failure(wrong: &[String]) -> Failure {
    let failure = match wrong {
        [only] => Failure::usage(only.clone()),
        many => many.iter().fold(
            Failure::usage(format!("{} things are wrong with the configuration", many.len())),
            |failure, wrong| failure.hint(wrong.clone()),
        ),
    };
    failure.hint("`stead config --example` shows every setting")
}
