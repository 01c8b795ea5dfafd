//! Scope `okta`: people, and the groups that hold them.

use super::DemoFile;
use super::rng::DemoRng;
use super::scope_file::ScopeFile;

/// One person of the demo company.
pub(super) struct OktaPerson {
    /// The login, which is also the end of the key.
    pub(super) login: &'static str,
    name: &'static str,
    /// The end of the key of the home group.
    group: &'static str,
    /// False for people who left; their account stays, their laptop goes back.
    pub(super) active: bool,
}

const fn person(login: &'static str, name: &'static str, group: &'static str) -> OktaPerson {
    OktaPerson { login, name, group, active: true }
}

const fn former_person(login: &'static str, name: &'static str, group: &'static str) -> OktaPerson {
    OktaPerson { login, name, group, active: false }
}

/// Everybody. Alice comes first: the inventory gives `laptop-001` to the first person.
pub(super) const PEOPLE: [OktaPerson; 60] = [
    person("alice", "Alice Moreau", "sre"),
    person("bob", "Bob Okafor", "sre"),
    person("chiara", "Chiara Bellini", "sre"),
    person("dmitri", "Dmitri Volkov", "sre"),
    person("hana", "Hana Kobayashi", "sre"),
    person("tomasz", "Tomasz Zieliński", "sre"),
    person("erin", "Erin Gallagher", "platform"),
    person("farid", "Farid Haddad", "platform"),
    person("grace", "Grace Mwangi", "platform"),
    person("ines", "Inês Carvalho", "platform"),
    person("jonas", "Jonas Weber", "platform"),
    person("kavya", "Kavya Raman", "platform"),
    person("linus", "Linus Håkansson", "platform"),
    former_person("mallory", "Mallory Finch", "platform"),
    person("amara", "Amara Nwosu", "payments"),
    person("benedikt", "Benedikt Huber", "payments"),
    person("carmen", "Carmen Ortega", "payments"),
    person("deepak", "Deepak Sharma", "payments"),
    person("eleni", "Eleni Papadaki", "payments"),
    person("frances", "Frances O'Neill", "payments"),
    person("gustavo", "Gustavo Lima", "payments"),
    person("aiko", "Aiko Tanaka", "web"),
    person("bruno", "Bruno Castelli", "web"),
    person("camille", "Camille Dubois", "web"),
    person("daniel", "Daniel Adeyemi", "web"),
    person("esther", "Esther Cohen", "web"),
    person("freya", "Freya Sørensen", "web"),
    person("george", "George Pappas", "web"),
    former_person("trent", "Trent Baxter", "web"),
    person("anouk", "Anouk de Vries", "data"),
    person("bilal", "Bilal Qureshi", "data"),
    person("clara", "Clara Jiménez", "data"),
    person("duc", "Nguyễn Minh Đức", "data"),
    person("emeka", "Emeka Obi", "data"),
    person("fatima", "Fatima Zahra", "data"),
    person("ivan", "Ivan Horvat", "security"),
    person("judith", "Judith Stein", "security"),
    person("kenji", "Kenji Mori", "security"),
    person("leila", "Leila Rahimi", "security"),
    person("marcus", "Marcus Bell", "it"),
    person("nadia", "Nadia Petrova", "it"),
    person("oscar", "Oscar Lindgren", "it"),
    person("priya", "Priya Nair", "it"),
    person("quentin", "Quentin Roux", "finance"),
    person("rosa", "Rosa Marchetti", "finance"),
    person("samuel", "Samuel Kariuki", "finance"),
    person("tessa", "Tessa Brandt", "finance"),
    person("ulrich", "Ulrich Maier", "support"),
    person("vera", "Vera Novák", "support"),
    person("wei", "Wei Zhang", "support"),
    person("ximena", "Ximena Torres", "support"),
    person("yusuf", "Yusuf Demir", "support"),
    former_person("zoe", "Zoë Lambert", "support"),
    person("agnes", "Ágnes Kovács", "people"),
    person("beatriz", "Beatriz Souza", "people"),
    person("colin", "Colin Murray", "people"),
    person("dalia", "Dalia Mansour", "design"),
    person("elias", "Elias Virtanen", "design"),
    person("flora", "Flora McKenzie", "design"),
    person("gwen", "Gwen Parry", "design"),
];

/// Home groups: the end of the key, the name, and the titles found there.
const HOME_GROUPS: [(&str, &str, &[&str]); 11] = [
    ("sre", "SRE", &["Site Reliability Engineer", "Senior Site Reliability Engineer"]),
    ("platform", "Platform", &["Platform Engineer", "Staff Engineer", "Engineering Manager"]),
    ("payments", "Payments", &["Backend Engineer", "Senior Backend Engineer", "Product Manager"]),
    ("web", "Web", &["Frontend Engineer", "Senior Frontend Engineer", "QA Engineer"]),
    ("data", "Data", &["Data Engineer", "Data Scientist", "Analytics Engineer"]),
    ("security", "Security", &["Security Engineer", "Detection Engineer"]),
    ("it", "IT", &["IT Administrator", "IT Support Specialist"]),
    ("finance", "Finance", &["Accountant", "Financial Controller", "Billing Analyst"]),
    ("support", "Support", &["Support Engineer", "Customer Success Manager"]),
    ("people", "People", &["HR Business Partner", "Recruiter"]),
    ("design", "Design", &["Product Designer", "UX Researcher"]),
];

/// Groups across the home groups, with the logins they hold.
const EXTRA_GROUPS: [(&str, &str, &[&str]); 3] = [
    (
        "on-call",
        "On-call",
        &["alice", "bob", "hana", "tomasz", "grace", "deepak", "daniel", "emeka", "ivan"],
    ),
    (
        "production-access",
        "Production access",
        &["alice", "bob", "chiara", "dmitri", "hana", "tomasz", "farid", "grace", "amara", "kenji"],
    ),
    ("contractors", "Contractors", &["linus", "gustavo", "bruno", "wei", "gwen"]),
];

/// Makes the upload of the scope.
pub(super) fn file() -> DemoFile {
    let mut rng = DemoRng::stream("okta");
    let mut out = ScopeFile::new("okta.ndjson", "okta");
    for (slug, name, _) in HOME_GROUPS.iter().chain(&EXTRA_GROUPS) {
        let key = group_key(slug);
        out.entity(&key, "okta_user_group", &["UserGroup"], name, vec![("name", (*name).into())]);
    }
    for person in &PEOPLE {
        add_person(&mut out, &mut rng, person);
    }
    for (slug, _, logins) in &EXTRA_GROUPS {
        for login in *logins {
            add_membership(&mut out, slug, login);
        }
    }
    out.finish()
}

fn add_person(out: &mut ScopeFile, rng: &mut DemoRng, person: &OktaPerson) {
    let titles = HOME_GROUPS
        .iter()
        .find(|(slug, ..)| *slug == person.group)
        .map(|(_, _, titles)| *titles)
        .expect("BUG: every person has a home group");
    let properties = vec![
        ("name", person.name.into()),
        ("login", person.login.into()),
        ("email", format!("{}@example.com", person.login).into()),
        ("title", rng.pick(titles).into()),
        ("active", person.active.into()),
        ("mfaEnabled", rng.chance(92).into()),
        ("hiredOn", hired_on(rng).into()),
    ];
    out.entity(&user_key(person.login), "okta_user", &["User"], person.name, properties);
    // Okta empties the groups of an account that is deactivated.
    if person.active {
        add_membership(out, person.group, person.login);
    }
}

fn hired_on(rng: &mut DemoRng) -> String {
    let year = rng.pick(&[2019, 2020, 2021, 2022, 2023, 2024]);
    rng.day(year)
}

fn add_membership(out: &mut ScopeFile, group: &str, login: &str) {
    out.relate(&group_key(group), "HAS", &user_key(login), "okta_user_group_has_user", vec![]);
}

fn group_key(slug: &str) -> String {
    format!("okta-group:{slug}")
}

fn user_key(login: &str) -> String {
    format!("okta-user:{login}")
}
