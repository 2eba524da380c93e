//! Which fields of a customer an adapter would take. Pure.

use std::borrow::Cow;

use backend::{Capabilities, Rejection};
use model::{Code, FieldName, Profile};

/// A profile without a field. A whole name is left out with its parts, which it is joined from, and
/// so are two lines of an address that are held as one; of a part that is split from a whole name, the
/// other part stays.
pub(super) fn without(profile: &Profile, field: FieldName, capabilities: &Capabilities) -> Profile {
    let mut rest = profile.clone();
    match field {
        FieldName::Name => {
            for part in [FieldName::Name, FieldName::FirstName, FieldName::LastName] {
                rest.set(part, None);
            }
        }
        FieldName::FirstName | FieldName::LastName => {
            (rest.first_name, rest.last_name) = profile.split_name();
            rest.name = None;
            rest.set(field, None);
        }
        FieldName::Line1 if !capabilities.holds(FieldName::Line2) => {
            (rest.address.line1, rest.address.line2) = (None, None);
        }
        FieldName::Metadata => rest.metadata.clear(),
        field => rest.set(field, None),
    }
    rest
}

/// The fields to be left out so that `prepare` takes the profile; none when it takes all.
///
/// Left out is, if `omit` allows it, a field whose value is too long, too short or has characters
/// that the provider does not take, unless the provider needs the field.
///
/// # Errors
/// What speaks against the profile.
pub(crate) fn fit(
    capabilities: &Capabilities,
    omit: bool,
    profile: &Profile,
    prepare: impl Fn(&Profile) -> Result<(), Rejection>,
) -> Result<Vec<FieldName>, Rejection> {
    let mut rest = Cow::Borrowed(profile);
    let mut omitted = Vec::new();
    loop {
        let Err(rejection) = prepare(&rest) else { return Ok(omitted) };
        let unfit = matches!(rejection.code, Code::FieldLength | Code::FieldCharset);
        let needed =
            |field| capabilities.fields.iter().any(|rule| rule.field == field && rule.required);
        let Some(field) = rejection.field.filter(|field| omit && unfit && !needed(*field)) else {
            return Err(rejection);
        };
        let less = without(&rest, field, capabilities);
        // Not what was objected to: it would be objected to for ever.
        if less == *rest {
            return Err(rejection);
        }
        omitted.push(field);
        rest = Cow::Owned(less);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(code: Code, field: FieldName) -> Rejection {
        Rejection { code, field: Some(field), message: "no".into(), item: 0 }
    }

    /// An adapter that takes no more than four characters of anything.
    fn short(profile: &Profile) -> Result<(), Rejection> {
        let name = profile.full_name();
        for field in FieldName::TEXTS {
            let value = if field == FieldName::Name { name.as_deref() } else { profile.get(field) };
            let parts = matches!(field, FieldName::FirstName | FieldName::LastName);
            if !parts && value.is_some_and(|value| value.chars().count() > 4) {
                return Err(rejection(Code::FieldLength, field));
            }
        }
        Ok(())
    }

    fn capabilities(required: &'static [backend::FieldRule]) -> Capabilities {
        Capabilities { fields: required, ..super::super::tests::CAPABILITIES }
    }

    fn profile() -> Profile {
        let mut profile = Profile {
            first_name: Some("Ada".into()),
            last_name: Some("Lovelace".into()),
            email: Some("a@b.c".into()),
            ..Profile::default()
        };
        profile.address.city = Some("Ub".into());
        profile
    }

    #[test]
    fn what_does_not_fit_is_left_out_if_that_is_allowed() {
        let free = capabilities(&[]);
        let omitted = fit(&free, true, &profile(), short).expect("fits then");
        assert_eq!(omitted, [FieldName::Name, FieldName::Email]);
        let error = fit(&free, false, &profile(), short).expect_err("rejected");
        assert_eq!(error.field, Some(FieldName::Name));
        let city = Profile { address: profile().address, ..Profile::default() };
        assert_eq!(fit(&free, true, &city, short), Ok(Vec::new()));
    }

    /// An adapter of two names that takes letters of ASCII only.
    #[test]
    fn a_part_of_a_whole_name_is_left_out_alone() {
        const FIELDS: &[backend::FieldRule] =
            &[part(FieldName::FirstName), part(FieldName::LastName)];
        const fn part(field: FieldName) -> backend::FieldRule {
            backend::FieldRule { field, min: 1, max: None, required: false }
        }
        let two = capabilities(FIELDS);
        let prepare = |profile: &Profile| {
            let held = two.as_held(profile);
            let bad = |field: &FieldName| held.get(*field).is_some_and(|text| !text.is_ascii());
            let field = [FieldName::FirstName, FieldName::LastName].into_iter().find(bad);
            field.map_or(Ok(()), |field| Err(rejection(Code::FieldCharset, field)))
        };
        let whole = |name: &str| Profile { name: Some(name.into()), ..Profile::default() };
        for (name, expected) in [
            ("Ada Kovač", vec![FieldName::LastName]),
            ("Zoë King", vec![FieldName::FirstName]),
            ("Zoë Kovač", vec![FieldName::FirstName, FieldName::LastName]),
            ("Ada King", vec![]),
        ] {
            assert_eq!(fit(&two, true, &whole(name), prepare), Ok(expected), "{name}");
        }
        let rest = without(&whole("Ada Kovač"), FieldName::LastName, &two);
        assert_eq!(two.as_held(&rest).first_name.as_deref(), Some("Ada"));
    }

    #[test]
    fn two_lines_that_are_held_as_one_are_left_out_together() {
        const fn line(field: FieldName) -> backend::FieldRule {
            backend::FieldRule { field, min: 3, max: Some(4), required: false }
        }
        const JOINED: &[backend::FieldRule] = &[line(FieldName::Line1)];
        const BOTH: &[backend::FieldRule] = &[line(FieldName::Line1), line(FieldName::Line2)];
        let mut profile = Profile::default();
        profile.address.line1 = Some("1 Elm Street".into());
        profile.address.line2 = Some("B".into());
        let fits = |fields| {
            let some = capabilities(fields);
            let prepare = |profile: &Profile| {
                let held = some.as_held(profile);
                let bad = |rule: &&backend::FieldRule| {
                    let length = held.get(rule.field).map(|text| text.chars().count());
                    length.is_some_and(|length| !(3..=4).contains(&length))
                };
                let rule = some.fields.iter().find(bad);
                rule.map_or(Ok(()), |rule| Err(rejection(Code::FieldLength, rule.field)))
            };
            fit(&some, true, &profile, prepare)
        };
        assert_eq!(fits(JOINED), Ok(vec![FieldName::Line1]));
        assert_eq!(fits(BOTH), Ok(vec![FieldName::Line1, FieldName::Line2]));
    }

    #[test]
    fn what_is_needed_or_not_at_fault_is_not_left_out() {
        let needed = capabilities(&[backend::FieldRule {
            field: FieldName::Email,
            min: 0,
            max: Some(4),
            required: true,
        }]);
        let error = fit(&needed, true, &profile(), short).expect_err("rejected");
        assert_eq!(error.field, Some(FieldName::Email));
        let free = capabilities(&[]);
        // Missing is not unfit; what is not there cannot be left out.
        for (code, field) in
            [(Code::FieldMissing, FieldName::Email), (Code::FieldLength, FieldName::Phone)]
        {
            let never = |_: &Profile| Err(rejection(code, field));
            assert_eq!(fit(&free, true, &profile(), never), Err(rejection(code, field)));
        }
    }
}
