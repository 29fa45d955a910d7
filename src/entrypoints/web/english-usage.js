// The texts of the usage in English.

export default {
  usage: "Usage",
  usagePeriod: "Time",
  usageMonth: "This month",
  usageLast: "Last month",
  usage90: "90 days",
  usageDays: "By day (UTC)",
  usageModels: "By model",
  usageOwners: "By API key",
  usageNone: "Nothing was used in this time.",
  usageTask: "{count} task",
  usageTasks: "{count} tasks",
  usageRead: "{count} tokens read{cached}",
  usageCached: " ({count} from a cache)",
  usageWritten: "{count} written{reasoned}",
  usageReasoned: " ({count} on reasoning)",
  usageUnpriced: "Without a price: {models}.",
  usageAway: "The service cannot be reached. Try again in a moment.",
};
