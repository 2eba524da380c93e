//! provider-proxy-token
