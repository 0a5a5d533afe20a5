package stage

// Invite is what the user is told after the story.
var Invite = invite
