//! Where a request goes: built from the base URL, or a provider's own link of the same origin.

use url::{Host, Url};

use crate::HttpRequest;

/// Whether an address is this machine's own.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// What is wrong with a URL that credentials are sent to, if anything. Never repeats it.
pub(crate) fn fault(url: &Url) -> Option<&'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        Some("the URL must not hold a user or password")
    } else if url.fragment().is_some() {
        Some("the URL must not have a fragment")
    } else if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)) {
        None
    } else {
        Some("the URL must be https (http only on loopback)")
    }
}

/// The URL of a request. Path and query of the request become what is on the wire.
pub(crate) fn resolve(base: &Url, request: &mut HttpRequest) -> Result<Url, &'static str> {
    let url = if request.path.starts_with('/') {
        below(base, &request.path, &request.query)?
    } else {
        link(base, &request.path, &request.query)?
    };
    url.path().clone_into(&mut request.path);
    url.query().unwrap_or_default().clone_into(&mut request.query);
    Ok(url)
}

fn below(base: &Url, path: &str, query: &str) -> Result<Url, &'static str> {
    let path = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut url = base.clone();
    url.set_path(&path);
    url.set_query((!query.is_empty()).then_some(query));
    // A URL that says something else than was asked (`..`, a raw space, a `#`) would go elsewhere,
    // or not match its signature.
    if url.path() != path || url.query().unwrap_or_default() != query {
        return Err("path or query of the request is not percent-encoded");
    }
    Ok(url)
}

fn link(base: &Url, link: &str, query: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(link).map_err(|_| "the link is not an address")?;
    if url.origin() != base.origin() {
        return Err("the link leads to another origin");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the link holds a user or password");
    }
    url.set_fragment(None);
    if !query.is_empty() {
        if url.query().is_some() {
            return Err("the link has a query already");
        }
        url.set_query(Some(query));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use backend::Verb;
    use bytes::Bytes;

    fn at(base: &str, path: &str, query: &str) -> Result<String, &'static str> {
        let mut request = HttpRequest {
            verb: Verb::Get,
            route: "/x",
            path: path.into(),
            query: query.into(),
            body: Bytes::new(),
            content_type: None,
            headers: Vec::new(),
            json_answer: false,
        };
        let url = resolve(&Url::parse(base).expect("a URL"), &mut request)?;
        assert_eq!(url.path(), request.path);
        Ok(url.into())
    }

    #[test]
    fn paths_stand_behind_the_base() {
        assert_eq!(
            at("https://a.test", "/b/c%2Fd", "$top=1").as_deref(),
            Ok("https://a.test/b/c%2Fd?$top=1")
        );
        assert_eq!(at("https://a.test/v1/", "/b", "").as_deref(), Ok("https://a.test/v1/b"));
        assert_eq!(
            at("https://a.test", "//b.test/c", "").as_deref(),
            Ok("https://a.test//b.test/c")
        );
        for (path, query) in [
            ("/a/../b", ""),
            ("/a/%2e%2E/b", ""),
            ("/a b", ""),
            ("/a?b", ""),
            ("/a#b", ""),
            ("/a", "b=#c"),
            ("/a", "b='c'"),
        ] {
            assert!(at("https://a.test", path, query).is_err(), "{path} {query}");
        }
    }

    #[test]
    fn links_stay_within_the_origin() {
        let base = "https://a.test/v1";
        assert_eq!(
            at(base, "https://a.test:443/n?skip=2#x", "").as_deref(),
            Ok("https://a.test/n?skip=2")
        );
        assert_eq!(
            at(base, "https://a.test/n", "skip=2").as_deref(),
            Ok("https://a.test/n?skip=2")
        );
        for foreign in [
            "https://b.test/n",
            "http://a.test/n",
            "https://a.test:444/n",
            "https://a.test.b.test/n",
            "https://u:p@a.test/n",
            "n",
            "file:///n",
            "https://a.test@b.test/n",
        ] {
            assert!(at(base, foreign, "").is_err(), "{foreign}");
        }
    }

    #[test]
    fn credentials_go_by_https_only() {
        let fault = |url: &str| fault(&Url::parse(url).expect("a URL"));
        for good in
            ["https://a.test/v1", "http://127.0.0.1:1", "http://localhost:2/x", "http://[::1]:3"]
        {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "http://a.test",
            "https://u@a.test",
            "https://:p@a.test",
            "ftp://a.test",
            "https://a.test/#x",
            "http://127.0.0.1.a.test",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
