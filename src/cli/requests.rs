//! Requests of the library, made from arguments.

use super::args::{
    BlastDirection, BlastRadiusArgs, CyclesArgs, GetArgs, GuardOverrideArgs, ImpactCause,
    ImpactRulesArgs, MappingFileArgs, NameValuePair, OwnersArgs, PathArgs, PathDirection,
};
use tombolo::answers::{
    BlastRadiusRequest, CyclesRequest, EntityRequest, GuardOverrides, ImpactRulesRequest,
    MappingSelection, OwnersRequest, PathRequest,
};
use tombolo::rules::ImpactFilter;
use tombolo::view::WalkDirection;

impl BlastRadiusArgs {
    /// The question that the arguments ask.
    pub fn request(&self) -> BlastRadiusRequest {
        BlastRadiusRequest {
            entities: self.entities.clone(),
            depth: self.depth,
            trouble: self.trouble.map(|cause| ImpactFilter {
                compromise: cause == ImpactCause::Compromise,
                failure: cause == ImpactCause::Failure,
            }),
            direction: match self.direction {
                BlastDirection::Auto => None,
                BlastDirection::Out => Some(WalkDirection::Out),
                BlastDirection::In => Some(WalkDirection::In),
                BlastDirection::Both => Some(WalkDirection::Both),
            },
            verbs: self.verb.clone(),
            classes: self.class.clone(),
            types: self.types.clone(),
            scopes: self.scope.clone(),
        }
    }
}

impl OwnersArgs {
    /// The question that the arguments ask.
    pub fn request(&self) -> OwnersRequest {
        OwnersRequest {
            entities: self.entities.clone(),
            classes: self.class.clone(),
            types: self.types.clone(),
            scopes: self.scope.clone(),
            orphans: self.orphans,
            people: self.people,
            owner_classes: self.owner_class.clone(),
            depth: self.depth,
            verbs: self.verb.clone(),
        }
    }
}

impl PathArgs {
    /// The question that the arguments ask.
    pub fn request(&self) -> PathRequest {
        PathRequest {
            from: self.from.clone(),
            to: self.to.clone(),
            via: self.via.clone(),
            max: if self.all { self.max } else { 1 },
            direction: match self.direction {
                PathDirection::Out => WalkDirection::Out,
                PathDirection::In => WalkDirection::In,
                PathDirection::Both => WalkDirection::Both,
            },
            verbs: self.verb.clone(),
        }
    }
}

impl CyclesArgs {
    /// The question that the arguments ask.
    pub fn request(&self) -> CyclesRequest {
        CyclesRequest { verbs: self.verb.clone() }
    }
}

impl GetArgs {
    /// The question that the arguments ask.
    pub fn request(&self) -> EntityRequest {
        EntityRequest { entity: self.entity.clone() }
    }
}

impl ImpactRulesArgs {
    /// The question that the arguments ask.
    pub fn request(&self) -> ImpactRulesRequest {
        ImpactRulesRequest { verbs: self.verb.clone() }
    }
}

impl MappingFileArgs {
    /// The choice of files that the arguments make.
    pub fn selection(&self) -> MappingSelection {
        MappingSelection { paths: self.paths.clone(), labels: pairs(&self.label) }
    }
}

impl GuardOverrideArgs {
    /// The guards that the arguments set.
    pub fn guards(&self) -> GuardOverrides {
        GuardOverrides { settings: pairs(&self.overrides), reason: self.reason.clone() }
    }
}

fn pairs(all: &[NameValuePair]) -> Vec<(String, String)> {
    all.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect()
}
