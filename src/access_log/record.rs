//! What one line of the access log tells, borrowed from the request for as long as it is written.
//!
//! Never here: how a line looks (`line`); tokens but for their ids, cookies, bodies and queries.

use std::{net::IpAddr, time::Duration};

use crate::{
    clock::Timestamp,
    id::{TokenId, UserId},
    metrics::{Cut, Verdict},
};

/// What the access log says of one request.
#[derive(Debug)]
pub struct Record<'a> {
    /// When its head had come.
    pub time: Timestamp,
    /// `X-Request-Id`, as the upstream saw it.
    pub request_id: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The request's method.
    pub method: &'a str,
    /// The host that the client named.
    pub host: &'a str,
    /// The path as it came, without the query.
    pub path: &'a str,
    /// The status answered.
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// From the request's head to the end of the answer.
    pub duration: Duration,
    /// To the head of the upstream's answer, where one was asked.
    pub upstream_duration: Option<Duration>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// Whose token it was.
    pub user: Option<&'a UserId>,
    /// Which token it was.
    pub token: Option<TokenId>,
    /// What the judge said.
    pub verdict: Verdict,
    /// Whether the answer broke off.
    pub aborted: bool,
    /// Why it was cut, where its token died before its end.
    pub cut: Option<Cut>,
}
