// The texts of the key form, the keyboard, the outline and the search, in English.

export default {
  keyOther: "Another API key takes the place of this one once the service has accepted it.",
  keySeveral: "There is more than one API key in this text. Paste one.",
  keyIsHash: "This is the entry for the service’s settings, with the hash of a key. The key itself begins with lt_.",
  keyNotThere: "There is no API key in this text. A key begins with lt_.",
  keyUnchecked: "The service cannot be reached, so the key could not be checked. Try again in a moment.",
  keyChecking: "Checking…",
  keyIs: "You are {owner}.",
  keyKeep: "Keep the old one",
  keyChange: "Use another API key",
  keyForget: "Forget this key",
  keyForgotten: "This browser has forgotten the API key and the tasks that it remembered.",
  keyOwner: "Your API key",
};
