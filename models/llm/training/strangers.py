"""Questions that are not Tandem's business, as training draws them: frames with slots, and whole questions."""

from __future__ import annotations

# fmt: off
FRAMES = (
    "Write a poem about {subject}.", "Write a story about {subject}.", "Tell me a joke about {subject}.", "What is {subject}?",
    "Tell me about {subject}.", "What is the capital of {country}?", "How many people live in {country}?", "Who was {person}?",
    "When was {person} born?", "Translate '{subject}' into {language}.", "How do you say {subject} in {language}?",
    "Write a {programming} function that {code}.", "How do I write a program in {programming} that {code}?",
    "What is {a} times {b}?", "What is {a} plus {b}?", "Calculate {a} - {b}.", "Solve {a} x = {b}.", "Give me a recipe for {dish}.",
    "How do I cook {dish}?", "What is the best way to learn {language}?", "Who invented {subject}?", "Why do people like {subject}?",
    "Summarise the history of {country}.", "Write an email to {person} about {subject}.", "What is the weather in {country}?",
    "Who won the match between {country} and {country2}?", "Recommend a book about {subject}.", "Is {subject} better than {subject2}?",
    "Explain {subject} to a child.", "Give me five facts about {subject}.", "Plan a trip to {country}.", "Sing a song about {subject}.",
    "What did {person} think about {subject}?", "Draw a picture of {subject}.", "Can you help me with {subject}?",
    "How old is {person}?", "Who is the president of {country}?", "How far is it from {country} to {country2}?", "Do you like {subject}?",
    "Write a haiku about {subject}.", "Compare {person} and {person2}.", "What rhymes with {dish}?", "Let us play {subject}.",
    "How much does {dish} cost in {country}?", "Which films are about {subject}?", "Fix this {programming} code that {code}.",
    "Should I buy {subject}?", "My doctor told me about {subject}. Is it dangerous?", "How do I get rid of {subject}?",
    "Roleplay as {person}.", "Pretend that you are {person}.", "Write a cover letter for a job in {country}.",
    "What causes {subject}?", "I have a question about {subject}.", "How do I {verb} {subject}?", "I want to {verb} {subject}.",
    "How can I {verb} {subject}?", "Where can I {verb} {subject}?", "Can I {verb} {dish} in {country}?", "Why is {subject} so {adjective}?",
    "Is {dish} {adjective}?", "Which {subject} are {adjective}?", "Are {subject} {adjective}?", "Write {a} words on {subject}.",
    "How {adjective} is {subject}?", "How {adjective} was {person}?", "Who was the first to {verb} {subject}?", "How long does {dish} take?",
    "What is the difference between {subject} and {subject2}?", "What is the {adjective} part of {subject}?", "Name {a} kinds of {subject}.",
    "Which {subject} should I {verb}?", "What does {person} say about {country}?", "Convert {a} pounds to kilograms.", "What is {a} % of {b}?",
    "Divide {a} by {b}.", "How many {subject} are there in {country}?", "When did {country} become {adjective}?", "Suggest {subject} for my wife.",
    "Which language is spoken in {country}?", "What is the flag of {country}?", "How do {subject} sleep?", "Who composed music for {subject}?",
    "What can I do about {subject}?", "What should I {verb} in {country}?", "Give me advice on {subject}.",
    "What is the most {adjective} city of {country}?", "Write a {programming} script for {subject}.", "Write a speech on {subject} for {person}.",
    "How do I make {dish} without eggs?", "Why did {person} leave {country}?", "Is it {adjective} to {verb} {subject}?", "Rate {subject}.",
    "I {verb} {subject} every day. Is that {adjective}?", "Where does {dish} come from?", "Where did {person} live?",
)
QUESTIONS = (
    "What is the meaning of life?", "Tell me a joke.", "What time is it?", "What day is it today?", "I feel sad today.", "Give me a riddle.",
    "Are there aliens?", "Why do cats purr?", "How do I lose weight?", "What should I eat tonight?", "Sing for me.", "Do my homework.",
    "Who will win the election?", "What is the speed of light?", "How deep is the ocean?", "When does winter begin?", "Do fish sleep?",
    "How do I tie a tie?", "How do I change a light bulb?", "My car does not start.", "Can dogs eat chocolate?", "Why do we dream?",
    "What is the largest animal?", "How many bones has a human?", "Which year is it?", "Who wrote the Odyssey?", "What is gravity?",
    "Write a limerick.", "Invent a superhero.", "Tell me a secret.", "Do you love me?", "What is your favourite colour?", "Are you married?",
    "Where were you born?", "How is the traffic?", "Book a table for two.", "Order a taxi.", "Set an alarm for seven.", "Call my mother.",
    "Turn on the light.", "What is on television?", "Play some music.", "Give me a synonym for happy.", "Correct my spelling.",
    "Rewrite this sentence.", "Summarise this article.", "What is a noun?", "What is the plural of mouse?", "Count to a hundred.",
    "What is two plus two?", "What is the value of pi?", "Is 97 a prime number?", "Integrate x squared.", "Prove the theorem of Pythagoras.",
    "How do magnets work?", "Why is grass green?", "Why is the sea salty?", "How hot is the sun?", "What is inside an atom?",
    "Who built the pyramids?", "When did the war end?", "Who was the first emperor?", "Which country is the largest?",
    "How do I get a visa?", "Which shares should I buy?", "How do I save money?", "What is a pension?", "How do I file my taxes?",
    "Is my headache serious?", "How do I treat a burn?", "How much water should I drink?", "How can I sleep better?",
    "What is a good film?", "Who sings this song?", "Which book should I read next?", "Who won the Oscar?", "Explain the offside rule.",
    "How do I train for a race?", "How many players are in a team?", "Where is the nearest pharmacy?", "Is it going to rain?",
    "What should I name my baby?", "Give me a gift idea.", "How do I write a resume?", "Should I quit my job?", "Am I pretty?",
    "How do I knit a scarf?", "How do I plant roses?", "When do I water a cactus?", "How do I wash wool?", "How do I paint a wall?",
    "What is the best phone?", "How do I reset my router?", "Why is my computer slow?", "How do I print a page?", "Is this mail spam?",
    "blah blah", "asdf", "lorem ipsum dolor sit amet", "???", "I am bored.", "You are stupid.", "Thank you, goodbye.", "Ok.", "lol",
)
LEADS = (
    "Write", "Write me", "Compose", "Draft", "Invent", "Suggest", "Give me", "Find me", "Recommend", "Make up", "I need", "Can you write",
    "Help me with", "Please write", "Help me write", "Create", "Design", "Show me", "Could you give me", "Tell me", "Think of", "Who wrote",
    "What is", "Where is", "I want", "Improve", "Where can I find", "Read me", "What are", "List", "Translate", "How do I get", "Name",
)
WORKS = (
    "a poem", "a letter", "a song", "an essay", "a card", "a toast", "a name", "some ideas", "a title", "a slogan", "a plan", "the rules",
    "a diet", "the history", "the symptoms", "the price", "the colour", "a picture", "some tips", "an idea", "the best place", "the news",
    "a short text", "the lyrics", "a good book", "a present", "three examples", "the origin", "the size", "an excuse", "a review", "a list",
)
LINKS = ("about", "for", "on", "of", "for my", "to", "from", "with", "in", "by", "for our", "without", "near", "against")
ARTICLES = ("", "", "the", "a", "my", "our", "your", "an old", "some", "this")
SYLLABLES = (
    "ba", "ko", "tri", "mel", "or", "san", "pu", "ver", "lin", "dax", "fro", "gue", "ham", "ish", "jo", "ken", "lo", "mur", "nel", "ob",
    "per", "quo", "rus", "ste", "tan", "ull", "vo", "wib", "yar", "zen", "cra", "ble", "sh", "ing", "er", "ton", "gra", "ppy", "tch", "oon",
)
VERBS = (
    "buy", "sell", "paint", "clean", "photograph", "repair", "find", "study", "cook", "describe", "draw", "teach", "eat", "watch", "visit",
    "avoid", "wear", "grow", "catch", "drink", "play", "steal", "love", "discover", "remove", "carry", "feed", "collect",
)
ADJECTIVES = (
    "beautiful", "expensive", "dangerous", "popular", "old", "famous", "difficult", "healthy", "cheap", "interesting", "strange", "loud",
    "tall", "big", "small", "long", "short", "fast", "heavy", "rich", "funny", "sad", "good", "bad", "common", "rare", "clever",
)
# fmt: on
