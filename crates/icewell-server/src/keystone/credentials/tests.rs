use super::*;

type Set<'a> = &'a [(&'a str, &'a str)];

const USER: [(&str, &str); 4] =
    [("auth_url", "http://ks:5000/v3"), ("username", "nova"), ("user_domain_name", "Default"), ("password", "s3cret")];

fn credentials(fields: Set<'_>) -> Result<Credentials, Error> {
    Credentials::from_fields(fields.iter().map(|(name, value)| (*name, (*value).to_owned())))
}

fn asked(fields: Set<'_>) -> Value {
    match credentials(fields).unwrap().login {
        Login::Keystone(request) => serde_json::from_slice(&request.body).unwrap(),
        Login::Ready(_) => panic!("{fields:?} logs in"),
    }
}

fn user_and(more: Set<'static>) -> Vec<(&'static str, &'static str)> {
    [&USER, more].concat()
}

#[test]
fn a_password() {
    let identity = json!({
        "methods": ["password"],
        "password": { "user": { "name": "nova", "domain": { "name": "Default" }, "password": "s3cret" } },
    });
    assert_eq!(asked(&USER), json!({ "auth": { "identity": identity } }));
    let by_id = [("auth_url", "http://ks"), ("auth_type", "v3password"), ("user_id", "1f"), ("password", "p")];
    assert_eq!(asked(&by_id)["auth"]["identity"]["password"], json!({ "user": { "id": "1f", "password": "p" } }));
    let default_domain =
        [("auth_url", "http://ks"), ("username", "u"), ("password", "p"), ("default_domain_id", "default")];
    let user = &asked(&default_domain)["auth"]["identity"]["password"]["user"];
    assert_eq!(user["domain"], json!({ "id": "default" }));
}

#[test]
fn the_scope() {
    let scope = |more| asked(&user_and(more))["auth"]["scope"].clone();
    assert_eq!(scope(&[]), Value::Null);
    assert_eq!(scope(&[("project_id", "2e"), ("project_name", "red")]), json!({ "project": { "id": "2e" } }));
    assert_eq!(
        scope(&[("project_name", "red"), ("project_domain_id", "default")]),
        json!({ "project": { "name": "red", "domain": { "id": "default" } } })
    );
    assert_eq!(scope(&[("domain_name", "Default")]), json!({ "domain": { "name": "Default" } }));
    assert_eq!(scope(&[("system_scope", "all")]), json!({ "system": { "all": true } }));
    assert_eq!(scope(&[("trust_id", "3d")]), json!({ "OS-TRUST:trust": { "id": "3d" } }));
}

#[test]
fn an_application_credential() {
    let by_id = [
        ("auth_url", "http://ks"),
        ("auth_type", "v3applicationcredential"),
        ("application_credential_id", "4c"),
        ("application_credential_secret", "s3cret"),
        // Left over from a file for a password; Keystone would refuse it.
        ("project_name", "red"),
        ("project_domain_id", "default"),
    ];
    let credential = json!({ "id": "4c", "secret": "s3cret" });
    let identity = json!({ "methods": ["application_credential"], "application_credential": credential });
    assert_eq!(asked(&by_id), json!({ "auth": { "identity": identity } }));
    let by_name = [
        ("auth_url", "http://ks"),
        ("application_credential_name", "icewell"),
        ("application_credential_secret", "s3cret"),
        ("username", "nova"),
        ("user_domain_id", "default"),
    ];
    let user = json!({ "name": "nova", "domain": { "id": "default" } });
    assert_eq!(
        asked(&by_name)["auth"]["identity"]["application_credential"],
        json!({ "name": "icewell", "user": user, "secret": "s3cret" })
    );
}

#[test]
fn a_token() {
    let exchanged = [("auth_url", "http://ks"), ("token", "gAAA"), ("project_id", "2e")];
    let identity = json!({ "methods": ["token"], "token": { "id": "gAAA" } });
    assert_eq!(asked(&exchanged), json!({ "auth": { "identity": identity, "scope": { "project": { "id": "2e" } } } }));
    let ready: [Set<'_>; 2] =
        [&[("token", "gAAA")], &[("auth_url", "http://ks"), ("auth_type", "admin_token"), ("token", "gAAA")]];
    for fields in ready {
        let Login::Ready(token) = credentials(fields).unwrap().login else { panic!("{fields:?}") };
        assert_eq!(token, "gAAA");
    }
}

#[test]
fn keystone_with_and_without_its_version() {
    for (written, asked) in [
        ("http://ks:5000", "http://ks:5000/v3/auth/tokens?nocatalog"),
        ("http://ks:5000/", "http://ks:5000/v3/auth/tokens?nocatalog"),
        ("http://ks:5000/v3", "http://ks:5000/v3/auth/tokens?nocatalog"),
        ("https://cloud/identity/v3/", "https://cloud/identity/v3/auth/tokens?nocatalog"),
        ("https://cloud/identity", "https://cloud/identity/v3/auth/tokens?nocatalog"),
    ] {
        assert_eq!(token_url(written).unwrap(), asked, "{written}");
    }
    for wrong in ["ks:5000", "ks", "ftp://ks", "http://user:s3cret@ks", "http://ks:5000/v2.0/"] {
        let error = crate::error::chain(&token_url(wrong).unwrap_err());
        assert!(error.contains("OS_AUTH_URL") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let without = |name: &str| USER.iter().filter(|(known, _)| *known != name).copied().collect::<Vec<_>>();
    for (fields, variable) in [
        (vec![], "OS_AUTH_URL"),
        (without("auth_url"), "OS_AUTH_URL"),
        (without("username"), "OS_USERNAME"),
        (without("user_domain_name"), "OS_USER_DOMAIN_NAME"),
        (without("password"), "OS_PASSWORD"),
        (user_and(&[("project_name", "red")]), "OS_PROJECT_DOMAIN_NAME"),
        (user_and(&[("auth_type", "v3oidcpassword")]), "OS_AUTH_TYPE"),
        (user_and(&[("auth_type", "token")]), "OS_TOKEN"),
        (user_and(&[("auth_type", "v3applicationcredential")]), "OS_APPLICATION_CREDENTIAL_SECRET"),
        (vec![("auth_url", "http://ks"), ("application_credential_secret", "s3cret")], "OS_APPLICATION_CREDENTIAL_ID"),
        (user_and(&[("system_scope", "some")]), "OS_SYSTEM_SCOPE"),
        (user_and(&[("system_scope", "all"), ("project_id", "2e")]), "at once"),
        (vec![("token", "two\nlines")], "OS_TOKEN"),
    ] {
        let error = credentials(&fields).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(variable), "{fields:?}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn no_secret_is_printed() {
    let printed = format!("{:?}", credentials(&user_and(&[("cacert", "/ca.pem")])).unwrap());
    assert!(printed.contains("nova") && printed.contains("http://ks:5000") && printed.contains("/ca.pem"), "{printed}");
    assert!(!printed.contains("s3cret"), "{printed}");
    let printed = format!("{:?}", Credentials::from_token("gAAA").unwrap());
    assert!(!printed.contains("gAAA"), "{printed}");
}

#[test]
fn certificates_are_always_looked_at() {
    for (fields, refused) in [
        (user_and(&[]), false),
        (user_and(&[("verify", "false")]), true),
        (user_and(&[("verify", "No")]), true),
        (user_and(&[("verify", "true")]), false),
        (user_and(&[("insecure", "True"), ("verify", "true")]), true),
        (user_and(&[("insecure", "false")]), false),
    ] {
        let told = credentials(&fields).map_err(|error| error.to_string());
        assert_eq!(told.is_err(), refused, "{fields:?}");
        assert!(told.is_ok() || told.unwrap_err().contains("OS_CACERT"));
    }
}
