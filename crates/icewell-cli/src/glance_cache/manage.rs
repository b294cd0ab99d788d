//! `glance-cache-manage`: what can be typed, and which verb does it.

use std::ffi::OsString;
use std::time::Instant;

use clap::{ArgAction, CommandFactory, Parser};

use super::remote::{Remote, Trouble};
use super::{Tool, VERSION, verbs};
use crate::commands::explain;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, escape};

/// The command line. Options without help are old spellings, and hidden as they are in Glance's tool.
#[derive(Debug, Parser)]
#[command(name = Tool::Manage.name(), version = VERSION, after_help = verbs::list(), infer_long_args = true)]
#[command(about = Tool::Manage.about())]
#[command(disable_version_flag = true, max_term_width = 100)]
pub(super) struct Args {
    /// The command to execute
    #[arg(required = true, value_name = "command")]
    command: Vec<String>,

    /// Print more verbose output
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Print debugging output
    #[arg(short, long)]
    debug: bool,

    /// Address of Glance API host
    #[arg(short = 'H', long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub(super) host: String,

    /// Port the Glance API host listens on
    #[arg(short, long, default_value_t = 9292)]
    pub(super) port: u16,

    /// Do not check the certificate of Keystone
    #[arg(short = 'k', long)]
    pub(super) insecure: bool,

    /// Ask for no confirmation
    #[arg(short, long)]
    pub(super) force: bool,

    /// A token [default: OS_AUTH_TOKEN, else OS_TOKEN]
    #[arg(long, short_alias = 'A', aliases = ["os_auth_token", "auth_token"])]
    pub(super) os_auth_token: Option<String>,

    /// [default: OS_USERNAME]
    #[arg(long, short_alias = 'I', alias = "os_username")]
    pub(super) os_username: Option<String>,

    /// [default: OS_PASSWORD]
    #[arg(long, short_alias = 'K', alias = "os_password")]
    pub(super) os_password: Option<String>,

    /// Taken, and not needed: the host says which Glance
    #[arg(long, short_alias = 'R', alias = "os_region_name")]
    os_region_name: Option<String>,

    /// [default: OS_PROJECT_ID]
    #[arg(long, alias = "os_project_id")]
    pub(super) os_project_id: Option<String>,

    /// [default: OS_PROJECT_NAME]
    #[arg(long, short_alias = 'T', alias = "os_project_name")]
    pub(super) os_project_name: Option<String>,

    /// [default: OS_USER_DOMAIN_ID]
    #[arg(long)]
    pub(super) os_user_domain_id: Option<String>,

    /// [default: OS_PROJECT_DOMAIN_ID]
    #[arg(long)]
    pub(super) os_project_domain_id: Option<String>,

    /// [default: OS_DOMAIN_ID, else "default"]
    #[arg(long)]
    pub(super) os_domain_id: Option<String>,

    /// Where Keystone is [default: OS_AUTH_URL]
    #[arg(long, short_alias = 'N', alias = "os_auth_url")]
    pub(super) os_auth_url: Option<String>,

    /// Authentication strategy (keystone or noauth) [default: OS_AUTH_STRATEGY, else keystone]
    #[arg(short = 'S', long = "os_auth_strategy", value_name = "STRATEGY")]
    pub(super) os_auth_strategy: Option<String>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// The command line, for a manual page.
pub(super) fn command() -> clap::Command {
    Args::command()
}

pub(super) fn main(arguments: &[OsString]) -> Exit {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return explain(error, &format!("{}: error", Tool::Manage.name())),
    };
    let output = Output::new(false, false);
    run(&args, &output).unwrap_or_else(|failure| {
        if !matches!(failure, Failure::ReaderGone) {
            eprintln!("ERROR: {}", escape(&failure.to_string()));
        }
        failure.exit()
    })
}

fn run(args: &Args, output: &Output) -> Result {
    let [name, operands @ ..] = &args.command[..] else { return Ok(Exit::Usage) };
    let verb = match (name.as_str(), operands) {
        ("help", []) => {
            output.print(Args::command().render_help().to_string().as_bytes())?;
            return Ok(Exit::Done);
        }
        ("help", [about, ..]) => verbs::find(about).ok_or(about),
        _ => verbs::find(name).ok_or(name),
    };
    let verb = match verb {
        Ok(verb) => verb,
        Err(unknown) => {
            let unknown = escape(unknown);
            output
                .print(format!("\nError: \"{unknown}\" is not a valid command.\n\n{}\n", verbs::list()).as_bytes())?;
            eprintln!("Unknown command: {unknown}");
            return Ok(Exit::Failed);
        }
    };
    let begun = Instant::now();
    let exit = if name == "help" {
        output.print(verb.help().as_bytes())?;
        Exit::Done
    } else {
        let mut remote = Remote::new(args);
        match (verb.run)(args, operands, &mut remote, output) {
            Ok(()) => Exit::Done,
            // With --debug Glance's tool dies of what it has no words for.
            Err(Trouble::Other(text)) if args.debug => return Err(Failure::failed(text)),
            Err(trouble) => tell(verb, args, trouble, output)?,
        }
    };
    if args.verbose {
        output.print(format!("Completed in {:.4} sec.\n", begun.elapsed().as_secs_f64()).as_bytes())?;
    }
    Ok(exit)
}

fn tell(verb: &verbs::Verb, args: &Args, trouble: Trouble, output: &Output) -> Result {
    let told = match trouble {
        Trouble::Operand(told) => format!("{}\n", escape(&told)),
        Trouble::NotFound => format!("Cache management middleware not enabled on host {}\n", escape(&args.host)),
        Trouble::Forbidden => "Not authorized to make this request.\n".into(),
        Trouble::Other(text) => {
            let lines: String = text.split('\n').map(|line| format!("{}\n", escape(line))).collect();
            format!("Failed to {}. Got error:\n{lines}", verb.action)
        }
        Trouble::Output(failure) => return Err(failure),
    };
    output.print(told.as_bytes())?;
    Ok(Exit::Failed)
}
