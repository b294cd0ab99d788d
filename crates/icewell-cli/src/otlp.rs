//! Where traces go: by our own settings, else by the variables of the environment that OpenTelemetry's programs share.

use icewell_server::Otlp;
use percent_encoding::percent_decode_str;
use tracing::warn;

use crate::failure::{Failure, Result};

/// What a receiver has for traces below its address (OTLP, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// What this daemon is called where nobody says.
const NAME: &str = "icewell";

/// What is looked up in the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where traces go, if they are to go anywhere. `endpoint` and `sample` are the settings.
///
/// # Errors
///
/// Wrong usage where a list of fields or attributes is none.
pub(crate) fn traces(endpoint: Option<&str>, sample: Option<f64>) -> Result<Option<Otlp>> {
    by(endpoint, sample, &|name| std::env::var(name).ok())
}

fn by(endpoint: Option<&str>, sample: Option<f64>, lookup: Lookup<'_>) -> Result<Option<Otlp>> {
    // An empty variable is none, as OpenTelemetry has it.
    let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
    // Of two, the one for traces counts.
    let shared = |name: &str| {
        let of_traces = variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
        of_traces.or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let endpoint = match endpoint {
        Some("off") => None,
        Some(endpoint) => Some(below(endpoint)),
        None if is_off(&variable) => None,
        None => {
            let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
            let endpoint = whole.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base)));
            let grpc = shared("PROTOCOL").filter(|protocol| protocol == "grpc");
            if let Some((protocol, endpoint)) = grpc.as_ref().zip(endpoint.as_ref()) {
                warn!(
                    endpoint,
                    protocol, "no traces: the environment wants them by gRPC; --otlp-endpoint names a receiver by HTTP"
                );
            }
            endpoint.filter(|_| grpc.is_none())
        }
    };
    let Some(endpoint) = endpoint else { return Ok(None) };
    let headers = shared("HEADERS").map(|text| pairs("OTEL_EXPORTER_OTLP_HEADERS", &text)).transpose()?;
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").map(|text| pairs("OTEL_RESOURCE_ATTRIBUTES", &text));
    let mut attributes = attributes.transpose()?.unwrap_or_default();
    let named = variable("OTEL_SERVICE_NAME")
        .or_else(|| attributes.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone()));
    attributes.retain(|(name, _)| name != "service.name");
    Ok(Some(Otlp {
        endpoint,
        headers: headers.unwrap_or_default(),
        service_name: named.unwrap_or_else(|| NAME.into()),
        attributes,
        sample: sample.unwrap_or(1.0),
        ca: shared("CERTIFICATE").map(Into::into),
    }))
}

/// Whether the environment switches OpenTelemetry off.
fn is_off(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
}

/// Where a receiver at this address takes traces.
fn below(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(PATH) { base.into() } else { format!("{base}{PATH}") }
}

/// `name=value,name=value`, what is none of these characters as `%2C`. The values may be secrets.
fn pairs(variable: &str, text: &str) -> Result<Vec<(String, String)>> {
    let wrong = || Failure::usage(format!("{variable} is no list of NAME=VALUE,NAME=VALUE"));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        Some((name.trim().to_owned(), value)).filter(|(name, _)| !name.is_empty())
    };
    let all = text.split(',').filter(|one| !one.trim().is_empty());
    all.map(|one| pair(one).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(endpoint: Option<&str>, variables: &[(&str, &str)]) -> Option<Otlp> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        by(endpoint, None, &lookup).unwrap()
    }

    #[test]
    fn the_setting_counts_before_the_environment_and_the_traces_own_before_what_is_shared() {
        const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/");
        const WHOLE: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://whole/as/it/is");
        for (endpoint, variables, expected) in [
            (None, vec![], None),
            (None, vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "")], None),
            (None, vec![BASE], Some("http://base:4318/v1/traces")),
            (None, vec![BASE, WHOLE], Some("http://whole/as/it/is")),
            (None, vec![BASE, ("OTEL_SDK_DISABLED", "true")], None),
            (None, vec![BASE, ("OTEL_TRACES_EXPORTER", "none")], None),
            (None, vec![BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], None),
            (None, vec![BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], Some("http://base:4318/v1/traces")),
            (Some("off"), vec![BASE], None),
            (Some("http://ours:4318"), vec![BASE, WHOLE], Some("http://ours:4318/v1/traces")),
            (Some("http://ours/v1/traces"), vec![("OTEL_SDK_DISABLED", "true")], Some("http://ours/v1/traces")),
        ] {
            assert_eq!(
                with(endpoint, &variables).map(|to| to.endpoint).as_deref(),
                expected,
                "{endpoint:?} {variables:?}"
            );
        }
    }

    #[test]
    fn what_is_told_besides() {
        let to = with(
            Some("http://ours"),
            &[
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%2Cb, x-a = 1,"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=edge,deployment.environment.name=lab"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ],
        )
        .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(to.headers, [pair("authorization", "Bearer a,b"), pair("x-a", "1")]);
        assert_eq!(to.attributes, [pair("deployment.environment.name", "lab")]);
        assert_eq!((to.service_name.as_str(), to.ca), ("edge", Some("/ca.pem".into())));
        let named = with(
            Some("http://ours"),
            &[("OTEL_SERVICE_NAME", "mine"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=no")],
        );
        assert_eq!(named.unwrap().service_name, "mine");
        let wrong =
            by(Some("http://ours"), None, &|name| (name == "OTEL_EXPORTER_OTLP_HEADERS").then(|| "secret".into()));
        assert!(!format!("{:?}", wrong.unwrap_err()).contains("secret"));
    }
}
