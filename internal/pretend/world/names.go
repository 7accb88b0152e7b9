package world

// The stock from which people, jobs and mail are made. Every domain ends in .example (RFC 2606).

var firstNames = []string{
	"Daan", "Emma", "Lucas", "Julia", "Sem", "Tess", "Levi", "Sophie", "Finn", "Noor", "Luuk", "Eva", "Bram", "Fleur", "Jesse", "Lotte",
	"Milan", "Anouk", "Thijs", "Femke", "Ruben", "Roos", "Koen", "Maud", "Jeroen", "Ilse", "Wouter", "Marloes", "Bas", "Esther", "Pieter", "Hanneke",
	"Mohamed", "Fatima", "Youssef", "Samira", "Emre", "Elif", "Kofi", "Ama", "Nikhil", "Priya", "Carlos", "Lucía", "João", "Inês", "Giulia", "Matteo",
	"Zofia", "Jakub", "Oksana", "Andrii", "Camille", "Théo", "Anneke", "Jürgen", "Freya", "Magnus", "Aoife", "Ciarán", "Mei", "Haruto", "Ewa", "Stijn",
}

var lastNames = []string{
	"de Jong", "Jansen", "de Vries", "van den Berg", "Bakker", "Visser", "Smit", "Meijer", "de Boer", "Mulder", "de Groot", "Vos", "Peters", "Hendriks",
	"van Leeuwen", "Dekker", "Brouwer", "Dijkstra", "Kok", "Jacobs", "van der Meer", "Vermeulen", "Postma", "Hoekstra", "Kuipers", "Veenstra", "Prins",
	"Huisman", "Peeters", "Willems", "Wouters", "El Idrissi", "Benali", "Yılmaz", "Kaya", "Mensah", "Owusu", "Sharma", "Iyer", "Fernández", "Silva",
	"Ferreira", "Rossi", "Conti", "Nowak", "Kowalczyk", "Shevchenko", "Bondar", "Moreau", "Lefèvre", "Schäfer", "Krüger", "Lindqvist", "Sørensen",
	"O’Brien", "Murphy", "Tanaka", "Wójcik", "ten Brink", "Schouten", "van Rijn", "Timmermans", "Verhoeven", "Zijlstra", "Koster", "van Vliet",
}

// freeMail are the domains of private addresses.
var freeMail = []string{"postbus.example", "webpost.example", "thuis.example", "mailbus.example", "snelmail.example", "inbox.example"}

type town struct{ nl, en string }

var towns = []town{
	{"Rotterdam", "Rotterdam"}, {"Den Haag", "The Hague"}, {"Utrecht", "Utrecht"}, {"Eindhoven", "Eindhoven"}, {"Groningen", "Groningen"}, {"Breda", "Breda"},
	{"Zwolle", "Zwolle"}, {"Amersfoort", "Amersfoort"}, {"Delft", "Delft"}, {"Dordrecht", "Dordrecht"}, {"Leiden", "Leiden"}, {"Tilburg", "Tilburg"},
	{"Arnhem", "Arnhem"}, {"Haarlem", "Haarlem"}, {"Gouda", "Gouda"}, {"Antwerpen", "Antwerp"}, {"Gent", "Ghent"}, {"Schiedam", "Schiedam"},
	{"Vlissingen", "Flushing"}, {"Maastricht", "Maastricht"}, {"Zürich", "Zurich"}, {"Hengelo", "Hengelo"}, {"Leeuwarden", "Leeuwarden"}, {"Middelburg", "Middelburg"},
}

// field is a branch with its jobs and what one must know.
type field struct {
	jobsEN, jobsNL     []string
	skillsEN, skillsNL []string
	low, high          int // gross a month in hundreds of euros
}

var fields = []field{
	{[]string{"Logistics Planner", "Warehouse Team Lead", "Customs Declarant", "Supply Chain Analyst", "Freight Forwarder"},
		[]string{"Logistiek Planner", "Teamleider Magazijn", "Douanedeclarant", "Supply Chain Analist", "Expediteur"},
		[]string{"transport planning", "warehouse systems", "customs procedures", "route optimisation", "shift scheduling"},
		[]string{"transportplanning", "magazijnsystemen", "douaneprocedures", "routeoptimalisatie", "dienstroosters"}, 27, 44},
	{[]string{"Backend Developer", "Frontend Developer", "Test Automation Engineer", "DevOps Engineer", "Data Engineer", "Application Manager"},
		[]string{"Backend Developer", "Frontend Developer", "Testautomatiseerder", "DevOps Engineer", "Data Engineer", "Functioneel Beheerder"},
		[]string{"Go and PostgreSQL", "TypeScript", "Kubernetes", "test automation", "data pipelines", "accessibility"},
		[]string{"Go en PostgreSQL", "TypeScript", "Kubernetes", "testautomatisering", "datastromen", "toegankelijkheid"}, 36, 66},
	{[]string{"Financial Controller", "Payroll Administrator", "Accounts Payable Specialist", "Assistant Accountant"},
		[]string{"Financieel Controller", "Salarisadministrateur", "Crediteurenmedewerker", "Assistent-accountant"},
		[]string{"month-end closing", "payroll processing", "annual accounts", "cost control"},
		[]string{"maandafsluitingen", "salarisverwerking", "jaarrekeningen", "kostenbeheersing"}, 30, 58},
	{[]string{"District Nurse", "Care Coordinator", "Physiotherapist", "Doctor’s Assistant"},
		[]string{"Wijkverpleegkundige", "Zorgcoördinator", "Fysiotherapeut", "Doktersassistente"},
		[]string{"wound care", "care planning", "patient contact", "quality registration"},
		[]string{"wondzorg", "zorgplannen", "patiëntcontact", "kwaliteitsregistratie"}, 28, 45},
	{[]string{"Mechanical Engineer", "Maintenance Technician", "PLC Programmer", "Project Engineer Installations", "Welding Specialist"},
		[]string{"Werktuigbouwkundig Engineer", "Monteur Onderhoud", "PLC-programmeur", "Projectleider Installaties", "Lasspecialist"},
		[]string{"hydraulics", "preventive maintenance", "PLC programming", "technical drawing", "site supervision"},
		[]string{"hydrauliek", "preventief onderhoud", "PLC-programmering", "technisch tekenen", "uitvoering op locatie"}, 29, 56},
	{[]string{"Account Manager", "Inside Sales Representative", "Marketing Specialist", "Customer Success Manager"},
		[]string{"Accountmanager", "Medewerker Binnendienst", "Marketingspecialist", "Klantadviseur"},
		[]string{"key accounts", "tendering", "campaigns", "customer retention"},
		[]string{"grote klanten", "aanbestedingen", "campagnes", "klantbehoud"}, 28, 54},
	{[]string{"HR Advisor", "Office Manager", "Legal Secretary", "Executive Assistant"},
		[]string{"HR-adviseur", "Officemanager", "Juridisch Secretaresse", "Directiesecretaresse"},
		[]string{"absence management", "agenda management", "contracts", "onboarding"},
		[]string{"verzuimbegeleiding", "agendabeheer", "contracten", "onboarding"}, 27, 48},
	{[]string{"Dredging Surveyor", "Naval Architect", "Ship Planner", "Offshore Coordinator"},
		[]string{"Hydrografisch Surveyor", "Scheepsbouwkundige", "Scheepsplanner", "Offshore-coördinator"},
		[]string{"hydrographic survey", "stability calculations", "port operations", "safety plans"},
		[]string{"hydrografische metingen", "stabiliteitsberekeningen", "havenoperaties", "veiligheidsplannen"}, 33, 68},
}

type company struct{ name, domain string }

// companies are the clients; the first ones have contact persons in the system.
var companies = []company{
	{"Maasbrug Logistiek", "maasbrug.example"}, {"Zonneveld Zorggroep", "zonneveldzorg.example"}, {"Brightwater Software", "brightwater.example"},
	{"Kade 27 Accountants", "kade27.example"}, {"Hollandia Installatietechniek", "hollandia-techniek.example"}, {"Noordzee Offshore Services", "noordzee-offshore.example"},
	{"Van Tiel & Zonen", "vantielenzonen.example"}, {"Alpenrose Biotech AG", "alpenrose.example"}, {"Gemeente Waterdam", "waterdam.example"}, {"Studio Peper", "studiopeper.example"},
	{"Delta Dredging", "deltadredging.example"}, {"Lemmens Machinebouw", "lemmens.example"}, {"Fietsfabriek De Wind", "dewind.example"}, {"Oranjehaven Terminals", "oranjehaven.example"},
	{"Kruidentuin Foods", "kruidentuin.example"}, {"Stichting Leerlicht", "leerlicht.example"}, {"Vondel Verzekeringen", "vondel.example"}, {"Polder Energie", "polderenergie.example"},
}

var notices = map[string][]string{
	"en": {"one month", "two months", "four weeks", "six weeks"},
	"nl": {"één maand", "twee maanden", "vier weken", "zes weken"},
}

var weekdays = map[string][]string{
	"en": {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
	"nl": {"zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"},
}

var months = map[string][]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"nl": {"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"},
}

// ascii are the letters that an address cannot have.
var ascii = map[rune]string{
	'á': "a", 'à': "a", 'ä': "ae", 'ã': "a", 'å': "a", 'ç': "c", 'é': "e", 'è': "e", 'ë': "e", 'ê': "e", 'í': "i", 'ï': "i", 'ı': "i", 'ł': "l",
	'ñ': "n", 'ń': "n", 'ó': "o", 'ö': "oe", 'ø': "o", 'õ': "o", 'ś': "s", 'ş': "s", 'ü': "ue", 'ú': "u", 'ý': "y", 'ž': "z", 'ź': "z", 'ż': "z", 'ğ': "g",
	'ễ': "e", 'ị': "i", '’': "", '\'': "", ' ': "", '.': "",
}
