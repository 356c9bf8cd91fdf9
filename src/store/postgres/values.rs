//! How this program's words are written into columns.

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

type Converted<T> = Result<T, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Timestamp {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Converted<IsNull> {
        i64::try_from(self.millis()).unwrap_or(i64::MAX).to_sql(ty, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Converted<Self> {
        Ok(Self::from_millis(u64::try_from(i64::from_sql(ty, raw)?)?))
    }

    accepts!(INT8);
}

macro_rules! sixteen_bytes {
    ($($id:ty),*) => {$(
        impl ToSql for $id {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Converted<IsNull> {
                self.as_bytes().as_slice().to_sql(ty, out)
            }

            accepts!(BYTEA);
            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $id {
            fn from_sql(_: &Type, raw: &'a [u8]) -> Converted<Self> {
                Ok(Self::from_bytes(raw.try_into()?))
            }

            accepts!(BYTEA);
        }
    )*};
}

sixteen_bytes!(TokenId, SessionId);

impl ToSql for UserId {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Converted<IsNull> {
        self.as_str().to_sql(ty, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for UserId {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Converted<Self> {
        Ok(<&str>::from_sql(ty, raw)?.parse()?)
    }

    accepts!(TEXT);
}

/// A number of the revocation log as it is kept; none ever comes near the end.
pub(super) fn from_sequence(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// A number of the revocation log as it was read; the log starts at 1.
pub(super) fn to_sequence(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
